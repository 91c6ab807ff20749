import protobuf from 'protobufjs'
import { PolyadicError } from '../../lib/errors.js'
import type { Graph } from '../../lib/graph/graph.js'
import { onnxSchema } from './onnx-schema.js'

const packedRoot = protobuf.parse(onnxSchema, { keepCase: true }).root
// What the ONNX project itself generates is proto2, where repeated scalars are not packed unless it says so.
const unpackedRoot = protobuf.parse(
  onnxSchema.replace(/repeated (float|double|u?int(32|64)) (\w+) = (\d+);/g, 'repeated $1 $3 = $4 [packed = false];'),
  { keepCase: true }
).root

/** A message as protobufjs takes it: field names as in onnx.proto. */
export type Message = Record<string, unknown>

/** Encodes a ModelProto by protobufjs, repeated scalars packed (proto3) or not (proto2). */
export function encodeModel(model: Message, packed = true): Uint8Array {
  const type = (packed ? packedRoot : unpackedRoot).lookupType('onnx.ModelProto')
  const message = type.fromObject(model)
  return new Uint8Array(type.encode(message).finish())
}

/** Decodes a ModelProto by protobufjs into plain data, bytes in hexadecimal, 64-bit integers as text. */
export function decodeModel(bytes: Uint8Array): Message {
  const type = packedRoot.lookupType('onnx.ModelProto')
  const plain = type.toObject(type.decode(bytes), { longs: String, bytes: Array, oneofs: false })
  return plain as Message
}

export const floatType = (...dims: (number | string)[]): Message => ({
  tensor_type: {
    elem_type: 1,
    shape: { dim: dims.map((dim) => (typeof dim === 'number' ? { dim_value: dim } : { dim_param: dim })) }
  }
})

/** The bytes of little-endian floats. */
export const rawFloats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer)

/** y = Relu(x + b) on 2 floats, with parts to replace. */
export function smallModel(graph: Message = {}, model: Message = {}): Message {
  return {
    ir_version: 8,
    graph: {
      name: 'small',
      node: [
        { name: 'add', op_type: 'Add', input: ['x', 'b'], output: ['s'] },
        { name: 'relu', op_type: 'Relu', input: ['s'], output: ['y'] }
      ],
      initializer: [{ name: 'b', data_type: 1, dims: [2], raw_data: rawFloats(1, -2) }],
      input: [{ name: 'x', type: floatType('N', 2) }],
      output: [{ name: 'y', type: floatType('N', 2) }],
      ...graph
    },
    opset_import: [{ version: 17 }],
    ...model
  }
}

/** `graph` without what is carried for the file format, for comparisons by content. */
export function withoutCarried(graph: Graph): Graph {
  const strip = <T extends { readonly carried?: unknown }>({ carried: _, ...rest }: T) => rest
  return {
    ...strip(graph),
    nodes: graph.nodes.map(strip),
    inputs: graph.inputs.map(strip),
    outputs: graph.outputs.map(strip),
    valueInfo: graph.valueInfo.map(strip)
  }
}

/** The PolyadicError that `act` throws; anything else thrown, or nothing, fails. */
export function errorOf(act: () => unknown): PolyadicError {
  try {
    act()
  } catch (error) {
    if (error instanceof PolyadicError) return error
    throw new Error('threw something else than a PolyadicError', { cause: error })
  }
  throw new Error('did not throw')
}

/** As `errorOf`, for what a promise is rejected with. */
export async function rejectionOf(promise: Promise<unknown>): Promise<PolyadicError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => ({ error })
  )
  return errorOf(() => {
    if (outcome !== undefined) throw outcome.error
  })
}
