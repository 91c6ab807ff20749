import type { DataType } from '../tensor.js'
import type { MessageSchema } from './wire.js'

// Field numbers of onnx.proto3 (IR versions 1 to 14). Fields that are only carried are listed too: errors name them.

function schema<F extends Record<string, number>>(name: string, fields: F): MessageSchema & { readonly fields: F } {
  return { name, fields }
}

export const modelProto = schema('ModelProto', {
  ir_version: 1,
  producer_name: 2,
  producer_version: 3,
  domain: 4,
  model_version: 5,
  doc_string: 6,
  graph: 7,
  opset_import: 8,
  metadata_props: 14,
  training_info: 20,
  functions: 25,
  configuration: 26
})

export const functionProto = schema('FunctionProto', {
  name: 1,
  input: 4,
  output: 5,
  attribute: 6,
  node: 7,
  doc_string: 8,
  opset_import: 9,
  domain: 10,
  attribute_proto: 11,
  value_info: 12,
  overload: 13,
  metadata_props: 14
})

export const graphProto = schema('GraphProto', {
  node: 1,
  name: 2,
  initializer: 5,
  doc_string: 10,
  input: 11,
  output: 12,
  value_info: 13,
  quantization_annotation: 14,
  sparse_initializer: 15,
  metadata_props: 16
})

export const nodeProto = schema('NodeProto', {
  input: 1,
  output: 2,
  name: 3,
  op_type: 4,
  attribute: 5,
  doc_string: 6,
  domain: 7,
  overload: 8,
  metadata_props: 9,
  device_configurations: 10
})

export const attributeProto = schema('AttributeProto', {
  name: 1,
  f: 2,
  i: 3,
  s: 4,
  t: 5,
  g: 6,
  floats: 7,
  ints: 8,
  strings: 9,
  tensors: 10,
  graphs: 11,
  doc_string: 13,
  tp: 14,
  type_protos: 15,
  type: 20,
  ref_attr_name: 21,
  sparse_tensor: 22,
  sparse_tensors: 23
})

export const tensorProto = schema('TensorProto', {
  dims: 1,
  data_type: 2,
  segment: 3,
  float_data: 4,
  int32_data: 5,
  string_data: 6,
  int64_data: 7,
  name: 8,
  raw_data: 9,
  double_data: 10,
  uint64_data: 11,
  doc_string: 12,
  external_data: 13,
  data_location: 14,
  metadata_props: 16
})

export const sparseTensorProto = schema('SparseTensorProto', { values: 1, indices: 2, dims: 3 })

export const valueInfoProto = schema('ValueInfoProto', { name: 1, type: 2, doc_string: 3, metadata_props: 4 })

export const typeProto = schema('TypeProto', {
  tensor_type: 1,
  sequence_type: 4,
  map_type: 5,
  denotation: 6,
  opaque_type: 7,
  sparse_tensor_type: 8,
  optional_type: 9
})

export const tensorTypeProto = schema('TypeProto.Tensor', { elem_type: 1, shape: 2 })

export const shapeProto = schema('TensorShapeProto', { dim: 1 })

export const dimensionProto = schema('TensorShapeProto.Dimension', { dim_value: 1, dim_param: 2, denotation: 3 })

export const opsetProto = schema('OperatorSetIdProto', { domain: 1, version: 2 })

export const stringEntryProto = schema('StringStringEntryProto', { key: 1, value: 2 })

export const annotationProto = schema('TensorAnnotation', { tensor_name: 1, quant_parameter_tensor_names: 2 })

/** TensorProto.DataType of each type that a Tensor can have. */
export const dataTypeNumbers: Readonly<Record<DataType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16
}

const dataTypesByNumber = new Map(Object.entries(dataTypeNumbers).map(([dtype, number]) => [number, dtype as DataType]))

/** The type that TensorProto.DataType `number` means, or undefined for those that a Tensor cannot have (strings, float8, …). */
export function dataTypeOf(number: number): DataType | undefined {
  return dataTypesByNumber.get(number)
}

const { float_data, int32_data, int64_data, double_data, uint64_data } = tensorProto.fields

/** The field that holds a tensor's elements when they are not in `raw_data`. */
export const typedDataFields: Readonly<Record<DataType, number>> = {
  float32: float_data,
  float64: double_data,
  int64: int64_data,
  uint32: uint64_data,
  uint64: uint64_data,
  uint8: int32_data,
  int8: int32_data,
  uint16: int32_data,
  int16: int32_data,
  int32: int32_data,
  bool: int32_data,
  float16: int32_data,
  bfloat16: int32_data
}

/** AttributeProto.AttributeType of the kinds that are interpreted. */
export const attributeTypes = { float: 1, int: 2, string: 3, tensor: 4, floats: 6, ints: 7, strings: 8 } as const

/** The field that holds the value of each interpreted kind. */
export const attributeFields = {
  float: attributeProto.fields.f,
  int: attributeProto.fields.i,
  string: attributeProto.fields.s,
  tensor: attributeProto.fields.t,
  floats: attributeProto.fields.floats,
  ints: attributeProto.fields.ints,
  strings: attributeProto.fields.strings
} as const

export type AttributeKind = keyof typeof attributeTypes

/** The IR version that goes with an opset of the ONNX domain, for graphs that no file brought one with. */
export function irVersionFor(opset: number): number {
  if (opset <= 18) return 8
  if (opset <= 20) return 9
  if (opset <= 22) return 10
  if (opset === 23) return 11
  if (opset === 24) return 12
  return opset <= 27 ? 13 : 14
}
