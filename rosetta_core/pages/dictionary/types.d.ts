/* Types of the records in the data files, as the Python modules beside this file write them. */

/** A number of a table; null is missing and drawn as "–". */
type Value = number | null;

/** Name of a layer, number of channels, height and width of its maps. */
type Layer = [name: string, channels: number, height: number, width: number];

interface ModelRecord {
  name: string;
  network: string;
  source: string;
  licence: string;
  random: boolean;
  layers: Layer[];
  dead: number;
  pairs: number;
  matched: number;
}

interface FilterRecord {
  label: string;
  low: number;
  high: number | null;
  step: number;
  scale: number;
}

type Format = "integer" | "decimal2" | "decimal3" | "percent" | "p" | "significant" | "interval";

interface ColumnRecord {
  key: string;
  label: string;
  tooltip: string;
  format: Format;
  parts: string[];
  sort: string | null;
  filter: FilterRecord | null;
}

type TableName =
  | "concepts"
  | "pairs"
  | "units"
  | "models"
  | "layers"
  | "varghaDelaney"
  | "nullCounts"
  | "splitHalf";

/** Columns of a table: values by key, one per row. */
type Columns = Record<string, Value[]>;

/** data/index.js */
interface IndexRecord {
  run: string;
  images: number;
  seed: number;
  truncation: number;
  folder: string | null;
  k: number;
  neurons: number;
  unitsPerFile: number;
  models: ModelRecord[];
  columns: Record<TableName, ColumnRecord[]>;
  concepts: Columns;
  /** By model the representative unit of every concept. */
  representatives: number[][];
  /** By encoder the mean correlation of every concept. */
  encoderCorr: Value[][];
  nullModels: { name: string; description: string }[];
  thresholds: { maxPValue: number; minExcessShare: number; minRecoveryRate: number };
  /** By name a colour scale: 256 × 3 bytes in base64. */
  scales: Record<string, string>;
}

/** data/files.js, where images come from a folder */
interface FilesRecord {
  /** By image the path of its file, relative to the folder. */
  names: string[];
  /** Address of the folder, relative to the pages; null if it was not there. */
  address: string | null;
}

/** data/search.js, one per model: a unit is listed once for every concept that contains it. */
interface SearchRecord {
  units: number[];
  concepts: number[];
}

type PairRow = [pivotUnit: number, model: number, unit: number];
type UnitRow = [unit: number, mean: number, std: number];
type BuddyRow = [neuron: number, buddy: number, corr: number, concept: number];
type RelatedRow = [concept: number, corr: number, neuron: number, neighbour: number];
type Size = [height: number, width: number];
type Group = "top" | "random" | "quartiles" | "disagreement";

interface MaximisationRecord {
  number: number;
  about: string;
  values: [before: Value, after: Value][];
}

/** data/concepts/{concept}.js */
interface ConceptRecord {
  verdict: { kind: string; title: string; text: string };
  pairs: PairRow[];
  pairColumns: Columns;
  units: UnitRow[][];
  histograms: string;
  pivotBuddies: BuddyRow[];
  related: RelatedRow[];
  top: number[];
  random: number[];
  quartiles: number[][];
  disagreement: number[];
  images: number[];
  scores: number[];
  maximisations: MaximisationRecord[];
  sizes: Size[];
  maps: string;
}

type NeighbourRow = [model: number, unit: number, corr: number, mutual: 0 | 1, bound: Value];

/** data/units/{model}/{file}.js: one entry per unit in every list. */
interface UnitsRecord {
  alive: (0 | 1)[];
  concepts: number[][];
  neighbours: NeighbourRow[][];
  images: number[][];
  peaks: number[][];
  sizes: Size[];
  packed: string;
  mean: Value[];
  std: Value[];
  sparsity: Value[];
  selectivity: Value[];
}

/** data/images/{image}.js */
interface ImageRecord {
  origin: string;
  concepts: number[];
  scores: number[];
  sizes: Size[];
  maps: string;
}

/** Best-buddy pairs: all of them, and those in the dictionary. */
interface PairGroups<T> {
  all: T;
  dictionary: T;
}

type TextColumns<K extends string> = Record<K, string[]> & Columns;

/** data/models.js */
interface ModelsRecord {
  layers: Columns[];
  depth: PairGroups<number[][]>[];
  corr: PairGroups<number[]>[];
  overlap: [encoders: number, units: number][];
  varghaDelaney: { model: string[]; measure: string[] } & Record<string, (string | Value)[]>;
  nullCounts:
    | ({ null: string[]; level: string[]; model: string[] } & Record<string, (string | Value)[]>)
    | null;
  splitHalf: ({ level: string[]; model: string[] } & Record<string, (string | Value)[]>) | null;
}

/* Types of the scripts. */

/** A unit with its names and the address of its page. */
interface Unit {
  model: number;
  number: number;
  layer: string;
  channel: number;
  height: number;
  width: number;
  name: string;
  id: string;
  href: string;
}

type Settings = Record<string, string>;

interface Address {
  page: string;
  names: string[];
  settings: Settings;
}

/** Address that many steps further; null at the end. */
type Step = (by: number) => string | null;

interface PageContent {
  title: string;
  content: Child[];
  move?: Step;
  after?: () => void;
}

type PageFunction = (address: Address) => PageContent | Promise<PageContent>;

type Child = string | number | boolean | null | undefined | Node | Child[];

/** An activation map, in eighths of a standard deviation from 4 below the mean. */
interface ActivationMap {
  bytes: Uint8Array;
  height: number;
  width: number;
  /** Maps of a column share a colour range. */
  column: number;
  label: string;
}

/** A column of a table on a page. */
interface TableColumn<Row> {
  head: string;
  tooltip?: string;
  /** Value to sort by and to save; a column without it is only shown. */
  value: (row: Row) => string | Value | undefined;
  show?: (row: Row) => Child;
  /** Whether values are numbers, which are aligned right and first sorted in descending order. */
  number?: boolean;
  rowHead?: boolean;
  /** Whether the column cannot be sorted. */
  fixed?: boolean;
}

interface ViewSettings {
  mode: string;
  opacity: number;
  threshold: number;
  colours: string;
  scale: string;
}
