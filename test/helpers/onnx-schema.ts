/**
 * ONNX's messages as a protobuf schema, for protobufjs: an oracle that shares nothing with lib/onnx. Every message also has
 * `future`, a field that lib/onnx does not know, as a newer ONNX might bring one.
 */
export const onnxSchema = `
syntax = "proto3";
package onnx;

message AttributeProto {
  string name = 1; float f = 2; int64 i = 3; bytes s = 4; TensorProto t = 5; GraphProto g = 6;
  repeated float floats = 7; repeated int64 ints = 8; repeated bytes strings = 9;
  repeated TensorProto tensors = 10; repeated GraphProto graphs = 11; string doc_string = 13; TypeProto tp = 14;
  repeated TypeProto type_protos = 15; int32 type = 20; string ref_attr_name = 21;
  SparseTensorProto sparse_tensor = 22; repeated SparseTensorProto sparse_tensors = 23; string future = 100;
}
message ValueInfoProto {
  string name = 1; TypeProto type = 2; string doc_string = 3; repeated StringStringEntryProto metadata_props = 4;
  string future = 100;
}
message NodeProto {
  repeated string input = 1; repeated string output = 2; string name = 3; string op_type = 4;
  repeated AttributeProto attribute = 5; string doc_string = 6; string domain = 7; string overload = 8;
  repeated StringStringEntryProto metadata_props = 9; repeated NodeDeviceConfigurationProto device_configurations = 10;
  string future = 100;
}
message NodeDeviceConfigurationProto { string configuration_id = 1; string future = 100; }
message TrainingInfoProto { GraphProto initialization = 1; GraphProto algorithm = 2; string future = 100; }
message ModelProto {
  int64 ir_version = 1; string producer_name = 2; string producer_version = 3; string domain = 4; int64 model_version = 5;
  string doc_string = 6; GraphProto graph = 7; repeated OperatorSetIdProto opset_import = 8;
  repeated StringStringEntryProto metadata_props = 14; repeated TrainingInfoProto training_info = 20;
  repeated FunctionProto functions = 25; string future = 100;
}
message StringStringEntryProto { string key = 1; string value = 2; string future = 100; }
message TensorAnnotation {
  string tensor_name = 1; repeated StringStringEntryProto quant_parameter_tensor_names = 2; string future = 100;
}
message GraphProto {
  repeated NodeProto node = 1; string name = 2; repeated TensorProto initializer = 5; string doc_string = 10;
  repeated ValueInfoProto input = 11; repeated ValueInfoProto output = 12; repeated ValueInfoProto value_info = 13;
  repeated TensorAnnotation quantization_annotation = 14; repeated SparseTensorProto sparse_initializer = 15;
  repeated StringStringEntryProto metadata_props = 16; string future = 100;
}
message TensorProto {
  message Segment { int64 begin = 1; int64 end = 2; }
  repeated int64 dims = 1; int32 data_type = 2; Segment segment = 3; repeated float float_data = 4;
  repeated int32 int32_data = 5; repeated bytes string_data = 6; repeated int64 int64_data = 7; string name = 8;
  bytes raw_data = 9; repeated double double_data = 10; repeated uint64 uint64_data = 11; string doc_string = 12;
  repeated StringStringEntryProto external_data = 13; int32 data_location = 14;
  repeated StringStringEntryProto metadata_props = 16; string future = 100;
}
message SparseTensorProto { TensorProto values = 1; TensorProto indices = 2; repeated int64 dims = 3; string future = 100; }
message TensorShapeProto {
  message Dimension { oneof value { int64 dim_value = 1; string dim_param = 2; } string denotation = 3; string future = 100; }
  repeated Dimension dim = 1; string future = 100;
}
message TypeProto {
  message Tensor { int32 elem_type = 1; TensorShapeProto shape = 2; string future = 100; }
  message Sequence { TypeProto elem_type = 1; }
  message Map { int32 key_type = 1; TypeProto value_type = 2; }
  message Optional { TypeProto elem_type = 1; }
  oneof value {
    Tensor tensor_type = 1; Sequence sequence_type = 4; Map map_type = 5; Tensor sparse_tensor_type = 8; Optional optional_type = 9;
  }
  string denotation = 6; string future = 100;
}
message OperatorSetIdProto { string domain = 1; int64 version = 2; string future = 100; }
message FunctionProto {
  string name = 1; repeated string input = 4; repeated string output = 5; repeated string attribute = 6;
  repeated NodeProto node = 7; string doc_string = 8; repeated OperatorSetIdProto opset_import = 9; string domain = 10;
  string future = 100;
}
`
