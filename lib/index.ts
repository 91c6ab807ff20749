// The whole public surface. What is not named here may change without notice.

export type { AbortOptions } from './abortable.js'
export { PolyadicError, type ErrorCode, type ErrorDetails } from './errors.js'
export { floatTensor, int64Tensor, type DataType, type FloatTensor, type Tensor, type TensorData } from './tensor.js'

export type { Attribute, Body, Graph, GraphFunction, Node, ValueInfo } from './graph/graph.js'
export { float, int, makeGraph, makeNode, type AttributeValue, type GraphParts, type NodeParts } from './graph/rewrite.js'
export { decodeOnnx, readOnnx } from './onnx/read.js'
export { encodeOnnx, writeOnnx, type WriteOptions } from './onnx/write.js'
export { cost, type Cost, type NodeCost } from './operators/cost.js'
export type { InputShapes, InputValues } from './operators/infer.js'

export { reconstruct, type Factor } from './decomposition/factors.js'
export { cpd, type CpdOptions, type CpdProgress, type CpdResult } from './decomposition/cpd.js'
export type { CpdInit, CpdMethod } from './decomposition/options.js'
export type { NativeCpdTrace as CpdTrace } from './native/binding.js'
export { compress, type CompressResult, type KeptLayer } from './replacement/compress.js'
export type { CompressOptions, CompressProgress, LayerOptions } from './replacement/options.js'
export type { Calibration, CalibrationFeeds } from './replacement/calibration.js'
export type { GroupReport } from './replacement/decompose.js'
export type { ReplacementForm } from './replacement/kernel-tensor.js'
export { halfWeights, type HalfType } from './replacement/half-weights.js'
export type { LayerReport } from './replacement/layer-report.js'
export { compressibleLayers, type CompressibleLayer } from './replacement/layers.js'
export type { LayerLatency } from './replacement/latency.js'

export type { Augment, Batch, Batches, BatchSource, ExampleSet, Targets } from './training/batches.js'
export { evaluate, type EvaluateOptions } from './training/evaluate.js'
export { fineTune, type CheckpointOptions, type FineTuneOptions, type FineTuneResult } from './training/fine-tune.js'
export {
  compressLayerByLayer,
  type LayerByLayerOptions,
  type LayerByLayerResult
} from './training/layer-by-layer.js'
export type { Random } from './random.js'
export type { Rollback } from './training/guard.js'
export { initialise, type InitialiseOptions } from './training/initialise.js'
export type { EpochRecord, Evaluation, TrainingEvent } from './training/loop.js'
export type { Distillation, FeaturePair, LossName } from './training/objective.js'
export type { NamePattern, ParameterGroup } from './training/parameters.js'
export type { Plateau, Schedule, ScheduleName } from './training/schedule.js'
export type { LayerStiffness } from './training/stiffness.js'

export type { CompiledValue } from './runtime/compile.js'
export { cpu, setIsa, type Cpu } from './runtime/cpu.js'
export type { Feeds } from './runtime/feeds.js'
export type { Precision, PrecisionChoice } from './runtime/precision.js'
export {
  Session,
  type RunOptions,
  type RunSyncOptions,
  type SessionDescription,
  type StepDescription,
  type SessionOptions
} from './runtime/session.js'
export type { ResultMemory } from './runtime/results.js'
export { defaultThreads } from './runtime/threads.js'

export { imageFolder, type ImageDecoder, type ImageFit, type ImageFolder, type ImageFolderOptions } from './formats/image-folder.js'
export { readDataset, type Dataset, type Examples, type ExamplesOrigin, type LabelledData } from './formats/dataset.js'
export { decodeNpy, encodeNpy, readNpy, writeNpy } from './formats/npy.js'
export { decodeNpz, encodeNpz, readNpz, writeNpz, type Arrays } from './formats/npz.js'
