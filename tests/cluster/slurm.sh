#!/usr/bin/env bash
# A real SLURM with one node, on this machine's loopback, for tests: Debian's packages, no systemd.
#
#   slurm.sh start [FOLDER]   install what is missing, start munge, slurmctld, slurmd; wait for them
#   slurm.sh stop [FOLDER]    cancel what runs, stop them, remove what start made
#
# Everything lies in FOLDER, but for the configuration, which SLURM's commands look for in
# /etc/slurm; one that this script didn't write is never touched.
set -euo pipefail

folder=$(realpath -m "${2:-/tmp/rosetta-slurm}")
etc=/etc/slurm
mark="# Written by rosetta's tests/cluster/slurm.sh; gone when it stops."
configurations=(slurm.conf gres.conf cgroup.conf)
host=$(hostname -s)

refuse() {
    echo "slurm.sh: $*" >&2
    exit 2
}

until_true() { # SECONDS WHAT COMMAND...
    local seconds=$1 what=$2
    shift 2
    for _ in $(seq $((seconds * 5))); do
        if "$@" &> /dev/null; then return 0; fi
        sleep 0.2
    done
    tail -n 20 "$folder"/log/*.log >&2 || true
    refuse "$what did not come up in $seconds s; its log is above"
}

idle() { sinfo --noheader --format=%T | grep -q idle; }

gone() { ! kill -0 "$1" 2> /dev/null; }

ours_only() { # nothing of another SLURM is overwritten or removed
    local name
    for name in "${configurations[@]}"; do
        if [ -e "$etc/$name" ] && ! grep -qxF "$mark" "$etc/$name"; then
            refuse "$etc/$name is of another SLURM; this one runs only where there is none"
        fi
    done
}

install_packages() {
    if type munged slurmctld slurmd sbatch setpriv &> /dev/null; then return 0; fi
    command -v apt-get > /dev/null || refuse "needs munge, slurmctld, slurmd and slurm-client"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        munge slurmctld slurmd slurm-client util-linux > /dev/null
}

write_configurations() {
    local memory kill_by
    memory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
    # a control group kills what takes too much memory; where there is none, a sampler does
    if [ -w /sys/fs/cgroup/memory ]; then
        kill_by=$'ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup'
    else
        kill_by=$'ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none'
        kill_by+=$'\nJobAcctGatherParams=OverMemoryKill'
    fi
    mkdir -p "$etc"
    # the node may have more cores than the machine: requests are tested, not speed
    cat > "$etc/slurm.conf" << END
$mark
ClusterName=rosetta
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SrunPortRange=16900-16999
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
MpiDefault=none
$kill_by
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdPidFile=$folder/run/slurmd.pid
SlurmdLogFile=$folder/log/slurmd.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
ReturnToService=2
KillWait=5
MinJobAge=3600
SchedulerParameters=bf_interval=2,sched_min_interval=200000,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=500
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=$memory Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=60 State=UP
PartitionName=gpu Nodes=$host MaxTime=60 State=UP
END
    # a card that is none: what asks for it is given it, and finds no CUDA there
    cat > "$etc/gres.conf" << END
$mark
NodeName=$host Name=gpu File=$folder/dev/gpu0
END
    cat > "$etc/cgroup.conf" << END
$mark
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=no
ConstrainRAMSpace=yes
ConstrainCores=no
ConstrainDevices=no
END
}

start() {
    [ "$(id -u)" = 0 ] || refuse "must be run as root"
    ours_only
    if [ -e "$folder" ]; then refuse "$folder is there; stop that SLURM first, or name another"; fi
    if command -v scontrol > /dev/null && scontrol ping 2> /dev/null | grep -q "is UP"; then
        refuse "a SLURM is running here; stop it first"
    fi
    install_packages
    trap 'status=$?; stop; exit $status' EXIT # of one that doesn't come up nothing stays
    write_configurations
    mkdir -p "$folder"/{run,log,state,spool,dev}
    chmod 755 "$folder"
    install -d -o munge -g munge -m 755 "$folder/munge"
    mknod "$folder/dev/gpu0" c 1 3
    # a key and a socket of its own: munge's own service, if it runs, is left alone
    setpriv --reuid munge --regid munge --clear-groups sh -c "
        umask 077; head -c 1024 /dev/urandom > '$folder/munge/key'
        umask 022; exec munged --key-file='$folder/munge/key' --socket='$folder/munge/socket' \
            --pid-file='$folder/munge/pid' --seed-file='$folder/munge/seed' \
            --log-file='$folder/munge/log'"
    until_true 10 munge munge --socket="$folder/munge/socket" --no-input
    slurmctld
    until_true 20 slurmctld sh -c 'scontrol ping | grep -q "is UP"'
    slurmd
    until_true 20 slurmd idle
    trap - EXIT
    sinfo
}

stop() {
    ours_only
    grep -qxF "StateSaveLocation=$folder/state" "$etc/slurm.conf" 2> /dev/null ||
        refuse "no SLURM was started in $folder"
    local pid file
    timeout 20 scancel --user=root 2> /dev/null || true
    sleep 1
    for file in "$folder"/run/slurmd.pid "$folder"/run/slurmctld.pid "$folder"/munge/pid; do
        if pid=$(cat "$file" 2> /dev/null) && kill "$pid" 2> /dev/null; then
            until_true 30 "the end of process $pid" gone "$pid"
        fi
    done
    rm -f "${configurations[@]/#/$etc/}"
    rm -rf "$folder"
}

case "${1:-}" in
    start | stop) "$1" ;;
    *) refuse "say start or stop, and in which folder" ;;
esac
