import type { DataType, Tensor } from '../tensor.js'

/**
 * A network as plain readonly data: what every stage takes and gives back.
 * Stages never change a Graph; they build a new one (`{ ...graph, nodes }`).
 */
export interface Graph {
  readonly name: string
  /** Inputs that are not initializers, in order. */
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  /** In topological order. */
  readonly nodes: readonly Node[]
  readonly initializers: ReadonlyMap<string, Tensor>
  /** Constants that no Tensor can hold (strings, float8, sparse): their names exist, their values are only carried. */
  readonly opaqueInitializers?: ReadonlyMap<string, unknown>
  /** Shapes an exporter noted for intermediate values; hints only. */
  readonly valueInfo: readonly ValueInfo[]
  /** Opset version by domain; `''` is the ONNX domain. */
  readonly opsets: ReadonlyMap<string, number>
  readonly metadata: ReadonlyMap<string, string>
  readonly docString: string
  /** What nodes of domains of the model's own stand for, by `functionKey`. They are only read: a writer writes what it carries. */
  readonly functions?: ReadonlyMap<string, GraphFunction>
  /** What only the file format cares about (IR version, producer, unknown fields), carried through untouched. */
  readonly carried?: unknown
}

export interface Node {
  /** Unique in a graph: readers invent a name where the file has none. */
  readonly name: string
  readonly opType: string
  readonly domain: string
  /** Value names; `''` marks an omitted optional input. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: ReadonlyMap<string, Attribute>
  readonly docString: string
  readonly carried?: unknown
}

export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'tensor'; readonly value: Tensor }
  /**
   * Sub-graphs, sparse tensors, types: kept as the file had them. When `value` is an object with `captures: string[]`, those are the
   * values of the outer graph that it uses. `body`: what a sub-graph does; `reference`: in a function, the attribute of its call that it is.
   * `tensor`: what a sparse tensor is.
   */
  | { readonly kind: 'opaque'; readonly value: unknown; readonly body?: Body; readonly reference?: string; readonly tensor?: Tensor }

/** Nodes that stand for one: a branch of an If, which sees the values around it, or a function, which sees only its inputs. */
export interface Body {
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly nodes: readonly Node[]
  readonly initializers: ReadonlyMap<string, Tensor>
}

export interface GraphFunction extends Body {
  /** What attributes of a call are where it does not say; `undefined`: left out. */
  readonly attributes: ReadonlyMap<string, Attribute | undefined>
  /** Opset version by domain, of its nodes. */
  readonly opsets: ReadonlyMap<string, number>
}

/** A named value with its element type and shape; a symbolic dimension is its name, an unknown one is `null`. */
export interface ValueInfo {
  readonly name: string
  readonly dtype: DataType
  /** `undefined` when the file does not even give the rank. */
  readonly dims: readonly (number | string | null)[] | undefined
  /** Not a tensor of a known DataType (a sequence, a map, strings, or no type given): `dtype` and `dims` then say nothing. */
  readonly opaque?: true
  readonly carried?: unknown
}
