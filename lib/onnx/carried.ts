import type { ValueInfo } from '../graph/graph.js'
import type { TensorData } from '../tensor.js'
import { nodeProto } from './schema.js'
import type { RawField } from './wire.js'

// What a Graph carries for the file format. Plain data, so that it survives structuredClone. Everywhere, `extra` are the
// fields that are not interpreted, among them scalars that the file spells out although they have the default value.

export interface ModelCarried {
  readonly format: 'onnx'
  readonly irVersion: number
  readonly extra: readonly RawField[]
  readonly graphExtra: readonly RawField[]
  readonly opsets: ReadonlyMap<string, OpsetCarried>
  /** By metadata key. */
  readonly metadata: ReadonlyMap<string, readonly RawField[]>
  /** In the file's order, those that no Tensor can hold among them. */
  readonly initializers: ReadonlyMap<string, TensorCarried>
  /** The file's inputs in order: `undefined` stands for one of Graph.inputs, a value for an initializer listed among them. */
  readonly inputSlots: readonly (ValueInfo | undefined)[]
  /** Initializers that quantization annotations name: in use although no node takes them. */
  readonly captures: readonly string[]
}

export interface OpsetCarried {
  readonly extra: readonly RawField[]
  /** How the file writes the domain: 'ai.onnx' and '' are one. */
  readonly domain: string
}

export interface TensorCarried {
  readonly extra: readonly RawField[]
  /** The name within an attribute; initializers have theirs in the Graph. */
  readonly name: string
  readonly packedDims: boolean
  /** The TensorProto field that held the data; 0 for none. */
  readonly storage: number
  /** The file has a SparseTensorProto: its bytes, and the dense data made of it. */
  readonly sparse?: { readonly data: TensorData; readonly bytes: Uint8Array }
}

export interface NodeCarried {
  readonly format: 'onnx'
  readonly extra: readonly RawField[]
  readonly attributes: ReadonlyMap<string, AttributeCarried>
  /** The file's name, and the unique one that stands for it in the Graph. */
  readonly renamed?: { readonly from: string; readonly to: string }
  /** How the file writes the default domain, when not as ''. */
  readonly domainAlias?: string
}

export interface AttributeCarried {
  readonly kind: string
  readonly extra: readonly RawField[]
  /** The file does not say the type (IR version 1). */
  readonly untyped: boolean
  /** The file leaves out the value, which is the default one. */
  readonly omitted: boolean
  readonly packed: boolean
  /** Integers that are too large for a number to be exact. */
  readonly exact?: readonly bigint[]
  readonly tensor?: TensorCarried
}

export interface ValueCarried {
  readonly format: 'onnx'
  readonly extra: readonly RawField[]
  readonly typeExtra: readonly RawField[]
  readonly tensorExtra: readonly RawField[]
  readonly shapeExtra: readonly RawField[]
  readonly dimExtra: readonly (readonly RawField[])[]
}

/**
 * The value of an `opaque` attribute: all its fields but the name, and the outer values that its sub-graphs use. `external`: some of its data
 * is in other files, so that the bytes alone are not all of it.
 */
export interface OpaqueAttribute {
  readonly format: 'onnx'
  readonly fields: readonly RawField[]
  readonly captures: readonly string[]
  readonly external?: true
}

/** An initializer that no Tensor can hold: the field of GraphProto that it is in, and its content. */
export interface OpaqueInitializer {
  readonly format: 'onnx'
  readonly field: number
  readonly bytes: Uint8Array
}

interface Carried {
  model: ModelCarried
  node: NodeCarried
  value: ValueCarried
  attribute: OpaqueAttribute
  initializer: OpaqueInitializer
}

/** `value` as what this format carries, or undefined when something else (another format, or nothing) is carried. */
export function carriedAs<K extends keyof Carried>(_what: K, value: unknown): Carried[K] | undefined {
  const isOurs = typeof value === 'object' && value !== null && (value as { format?: unknown }).format === 'onnx'
  return isOurs ? (value as Carried[K]) : undefined
}

/**
 * What of a node's carried data also holds for nodes that are made from it: its metadata properties. Fields that speak about the node's
 * own inputs, outputs or operator do not.
 */
export function inherited(carried: unknown): NodeCarried | undefined {
  const node = carriedAs('node', carried)
  const extra = node?.extra.filter(({ field }) => field === nodeProto.fields.metadata_props) ?? []
  return extra.length === 0 ? undefined : { format: 'onnx', extra, attributes: new Map() }
}
