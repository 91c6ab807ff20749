import { PolyadicError, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import { type Dense, isRowMajor, refOf, rowMajor, transpose, wholeValue } from '../operators/dense.js'
import type { AnalysedNode, Analysis } from '../operators/infer.js'
import {
  type ChannelView,
  type NewStep,
  type NodeContext,
  type PaddedView,
  type PlanWriter,
  type TrainingMode,
  type ValueRef,
  nodeError,
  planShape,
  sameShape,
  unsupported
} from '../operators/operator.js'
import { asFloat32, elementCount, type Tensor, toFloat32 } from '../tensor.js'
import type { Draft, DraftInput, DraftParameter } from './draft.js'
import type { PlanStep, PlanValue } from './plan-spec.js'

function denseShape(count: number): PlanValue {
  return { n: 1, c: 1, h: 1, w: count, dense: true }
}

/** Turns analysed nodes into steps, one by one, without any fusion. */
export class DraftWriter {
  readonly #inputs: DraftInput[] = []
  readonly #analysis: Analysis
  readonly #training: TrainingMode | undefined
  readonly #values: PlanValue[] = []
  readonly #steps: PlanStep[] = []
  readonly #parameters: DraftParameter[] = []
  readonly #refs = new Map<string, ValueRef>()
  readonly #parameterOf = new Map<object, { readonly index: number; readonly layout: DraftParameter['layout'] }[]>()
  readonly #initializerOf = new Map<object, string>()
  /** What has been converted or copied already: by value and how it was seen. */
  readonly #converted = new Map<string, number>()
  readonly #constants = new Map<object, number>()

  constructor(graph: Graph, analysis: Analysis, training: TrainingMode | undefined) {
    this.#analysis = analysis
    this.#training = training
    for (const name of graph.initializers.keys()) this.#initializerOf.set((analysis.constants.get(name) as Tensor).data, name)
    for (const { name } of graph.inputs) {
      if (analysis.constants.has(name)) continue
      const dims = analysis.dims.get(name) ?? []
      // Other ranks are a row a batch until the network reshapes them.
      const shape = planShape(dims) ?? rowsOf(dims)
      this.#refs.set(name, { value: this.#addInput(name, shape) })
    }
  }

  write(analysed: AnalysedNode): void {
    const { node, operator, context } = analysed
    const refs = operator.lower(context, this.#writer(context))
    node.outputs.forEach((name, i) => {
      const ref = refs[i]
      if (name !== '' && ref !== undefined) this.#refs.set(name, ref)
    })
  }

  draft(outputs: readonly number[]): Draft {
    return { values: this.#values, parameters: this.#parameters, steps: this.#steps, inputs: this.#inputs, outputs }
  }

  /** The plan value of a graph output: in training a blocked one, of which losses are taken. */
  output(name: string): number {
    const ref = this.#refs.get(name)
    const isBlocked = ref !== undefined && this.#values[ref.value]?.dense === undefined
    if (ref !== undefined && ref.view === undefined && (isBlocked || this.#training === undefined)) return ref.value
    const dims = this.#analysis.dims.get(name)
    if (ref === undefined || dims === undefined)
      throw new PolyadicError('POLYADIC_GRAPH', `output ${show(name)} is not computed by any node`, { subject: name })
    const context = { node: { name, opType: 'output' } } as unknown as NodeContext
    const value = this.#strided(context, ref, dims)
    if (this.#training === undefined) return this.#contiguous(context, value).value
    return this.#toBlocked(context, value, planShape(dims) ?? rowsOf(dims))
  }

  #addInput(name: string, shape: PlanValue): number {
    const value = this.#values.push(shape) - 1
    this.#inputs.push({ name, value })
    return value
  }

  #writer(context: NodeContext): PlanWriter {
    const dimsOf = (index: number): readonly number[] => context.inputs[index]?.dims ?? []
    const dense = (index: number): Dense => this.#strided(context, this.#ref(context, index), dimsOf(index))
    return {
      training: this.#training,
      ref: (index) => this.#ref(context, index),
      blocked: (index) => this.#blocked(context, index, dimsOf(index)),
      isBlocked: (index) => this.#isBlocked(this.#ref(context, index), dimsOf(index)),
      dense,
      contiguous: (value) => this.#contiguous(context, value),
      constant: (tensor) => this.#constant(context, tensor),
      toBlocked: (value, shape) => this.#toBlocked(context, value, shape),
      emitDense: (step, dims) => wholeValue(this.#emit(context, step, denseShape(elementCount(dims))).value, dims),
      shape: (value) => this.#values[value] as PlanValue,
      reshapedInput: (value, shape) => this.#reshapedInput(value, shape),
      parameter: (tensor) => this.#parameter(context, tensor, 'same'),
      transposed: (tensor) => this.#parameter(context, tensor, 'transposed'),
      statistics: (tensor) => this.#parameter(context, tensor, 'same', 'kept'),
      derived: (data) => this.#addParameter({ data, trainable: false, initializers: [], layout: 'derived' }),
      emit: (step, shape) => this.#emit(context, step, shape)
    }
  }

  #emit(context: NodeContext, newStep: NewStep, shape: PlanValue): ValueRef {
    const output = this.#values.push(shape) - 1
    this.#steps.push({ ...newStep, output, nodes: [context.node.name] } as PlanStep)
    return { value: output }
  }

  #ref(context: NodeContext, index: number): ValueRef {
    const name = context.node.inputs[index] ?? ''
    const ref = this.#refs.get(name)
    if (ref !== undefined) return ref
    const constant = this.#analysis.constants.get(name)
    if (constant === undefined) throw nodeError(context, `input ${show(name)} does not exist`)
    const dense = this.#constant(context, constant)
    return isRowMajor(dense) ? { value: dense.value } : refOf(dense)
  }

  #constant(context: NodeContext, tensor: Tensor): Dense {
    const isTransposed = this.#parameterOf.get(tensor.data)?.[0]?.layout === 'transposed' && this.#training !== undefined
    const [rows, columns] = tensor.dims
    const seen = (value: number): Dense =>
      isTransposed && rows !== undefined && columns !== undefined && tensor.dims.length === 2
        ? transpose(wholeValue(value, [columns, rows]), [1, 0])
        : wholeValue(value, tensor.dims)
    const known = this.#constants.get(tensor.data)
    if (known !== undefined) return seen(known)
    const parameter = this.#trainableConstant(context, tensor, isTransposed && tensor.dims.length === 2) ?? this.#derivedConstant(tensor)
    const value = this.#values.push({ ...denseShape(tensor.data.length), parameter }) - 1
    this.#constants.set(tensor.data, value)
    return seen(value)
  }

  #derivedConstant(tensor: Tensor): number {
    const data = toFloat32(tensor, this.#initializerOf.get(tensor.data) ?? 'a constant')
    return this.#addParameter({ data, trainable: false, initializers: [], layout: 'derived' })
  }

  /**
   * In training an initializer of floats is one parameter wherever it is read. A single number is a constant of a formula (the epsilon of a
   * norm, the root of two).
   */
  #trainableConstant(context: NodeContext, tensor: Tensor, isTransposed: boolean): number | undefined {
    const isWeight =
      this.#training !== undefined &&
      tensor.dtype === 'float32' &&
      tensor.data.length > 1 &&
      this.#initializerOf.has(tensor.data) &&
      isLearnt(tensor.data as Float32Array)
    return isWeight ? this.#parameter(context, tensor, isTransposed ? 'transposed' : 'same', 'candidate') : undefined
  }

  #isBlocked({ value, view }: ValueRef, dims: readonly number[]): boolean {
    const [shape, own] = [planShape(dims), this.#values[value] as PlanValue]
    if (view?.kind === 'channels') return true
    if (shape === undefined || view !== undefined || own.parameter !== undefined) return false
    return sameShape(shape, own) || this.#inputs.some((input) => input.value === value)
  }

  #blocked(context: NodeContext, index: number, dims: readonly number[]): number {
    const ref = this.#ref(context, index)
    const shape = planShape(dims)
    if (shape === undefined)
      throw unsupported(
        context,
        `its input ${show(context.node.inputs[index])} of shape ${show(dims)}`,
        'two to four dimensions are needed'
      )
    if (ref.view === undefined && sameShape(shape, this.#values[ref.value] as PlanValue)) return ref.value
    if (ref.view?.kind === 'channels') return this.#blockedChannels(context, ref, ref.view, shape)
    const input = ref.view === undefined ? this.#reshapedInput(ref.value, shape) : undefined
    return input ?? this.#toBlocked(context, this.#strided(context, ref, dims), shape)
  }

  #blockedChannels(context: NodeContext, { value }: ValueRef, { start, step, count }: ChannelView, shape: PlanValue): number {
    const table = Int32Array.from({ length: count }, (_, i) => start + i * step)
    return this.#once(
      `channels ${value} ${start} ${step} ${count}`,
      () => this.#emit(context, { op: 'channels', input: value, tables: [table] }, shape).value
    )
  }

  #toBlocked(context: NodeContext, value: Dense, shape: PlanValue): number {
    const from = this.#contiguous(context, value)
    const { n, c, h, w } = shape
    return this.#once(
      `blocked ${from.value} ${[n, c, h, w]}`,
      () => this.#emit(context, { op: 'to_blocked', input: from.value }, shape).value
    )
  }

  /** A value as a dense one, seen through what view it has. */
  #strided(context: NodeContext, ref: ValueRef, dims: readonly number[]): Dense {
    if (ref.view?.kind === 'strided') return { value: ref.value, dims, offset: ref.view.offset, strides: ref.view.strides }
    const value = this.#denseOf(context, ref.value)
    if (ref.view === undefined) return wholeValue(value, dims)
    return ref.view.kind === 'channels' ? this.#channels(ref, ref.view, value, dims) : this.#padded(context, ref, ref.view, value, dims)
  }

  #denseOf(context: NodeContext, value: number): number {
    const shape = this.#values[value] as PlanValue
    if (shape.dense) return value
    const dense = denseShape(shape.n * shape.c * shape.h * shape.w)
    return (
      this.#reshapedInput(value, dense) ??
      this.#once(`dense ${value}`, () => this.#emit(context, { op: 'to_dense', input: value }, dense).value)
    )
  }

  #channels(ref: ValueRef, view: ChannelView, value: number, dims: readonly number[]): Dense {
    const strides = rowMajor(dims.with(1, (this.#values[ref.value] as PlanValue).c))
    const stride = strides[1] as number
    return { value, dims, offset: view.start * stride, strides: strides.with(1, stride * view.step) }
  }

  #padded(context: NodeContext, ref: ValueRef, { pads, fill }: PaddedView, value: number, dims: readonly number[]): Dense {
    const { n, c, h, w } = this.#values[ref.value] as PlanValue
    const whole = [n, c, h + pads[0] + pads[2], w + pads[1] + pads[3]]
    const strides = rowMajor(whole)
    const piece = {
      input: 0,
      dims: [n, c, h, w],
      from: { offset: 0, strides: rowMajor([n, c, h, w]) },
      to: { offset: pads[0] * (strides[2] as number) + pads[1], strides }
    }
    const padded = this.#once(`padded ${value} ${pads} ${fill}`, () => {
      const step = { op: 'copy', inputs: [value], pieces: [piece], fill } as const
      return this.#emit(context, step, denseShape(elementCount(whole))).value
    })
    return wholeValue(padded, dims)
  }

  /** A value that has exactly the elements of `x`, in row-major order. */
  #contiguous(context: NodeContext, x: Dense): Dense {
    const { value, dims, offset, strides } = x
    if (isRowMajor(x) && (this.#values[value] as PlanValue).w === elementCount(dims)) return x
    const copy = this.#once(`copy ${value} ${offset} ${dims} by ${strides}`, () => {
      const piece = { input: 0, dims, from: { offset, strides }, to: { offset: 0, strides: rowMajor(dims) } }
      return this.#emit(context, { op: 'copy', inputs: [value], pieces: [piece] }, denseShape(elementCount(dims))).value
    })
    return wholeValue(copy, dims)
  }

  #once(key: string, make: () => number): number {
    const value = this.#converted.get(key) ?? make()
    this.#converted.set(key, value)
    return value
  }

  #reshapedInput(value: number, shape: PlanValue): number | undefined {
    const input = this.#inputs.find((candidate) => candidate.value === value)
    if (input === undefined) return undefined
    const known = this.#inputs.find(
      (candidate) => candidate.name === input.name && sameShape(this.#values[candidate.value] as PlanValue, shape)
    )
    return known?.value ?? this.#addInput(input.name, shape)
  }

  #parameter(
    context: NodeContext,
    tensor: Tensor,
    layout: 'same' | 'transposed',
    use: 'trained' | 'kept' | 'candidate' = 'trained'
  ): number {
    const known = this.#parameterOf.get(tensor.data) ?? []
    const same = known.find((entry) => entry.layout === layout)
    if (same !== undefined) {
      if (use === 'trained') this.#train(same.index)
      return same.index
    }
    const initializer = this.#initializerOf.get(tensor.data)
    if (this.#training !== undefined && known.length > 0 && initializer !== undefined) {
      throw unsupported(context, `training ${show(initializer)}, which is used both as it is and transposed,`, 'one of the two is needed')
    }
    const data = asFloat32(tensor, initializer ?? context.node.name)
    const index = this.#addParameter({
      data: layout === 'same' ? data : transposed(data, tensor.dims),
      trainable: this.#training !== undefined && use === 'trained' && initializer !== undefined,
      initializers: initializer === undefined ? [] : [initializer],
      layout: initializer === undefined ? 'derived' : layout,
      ...(use === 'candidate' && { candidate: true })
    })
    this.#parameterOf.set(tensor.data, [...known, { index, layout }])
    return index
  }

  /** What was read as a tensor among others is a weight of this step. */
  #train(index: number): void {
    const { candidate, ...parameter } = this.#parameters[index] as DraftParameter
    if (candidate === true) this.#parameters[index] = { ...parameter, trainable: true }
  }

  #addParameter(parameter: DraftParameter): number {
    return this.#parameters.push(parameter) - 1
  }
}

/**
 * Whether values may be what a training came to. What is infinite masks something, and whole numbers are counted: a mask of 0 and −100, the grid of a
 * detector, its strides. All the same they may be what a training begins with.
 */
function isLearnt(values: Float32Array): boolean {
  return values.every(Number.isFinite) && !(values.every(Number.isInteger) && values.some((value) => value !== values[0]))
}

/** Other ranks than those of plan values: a row a batch. */
function rowsOf(dims: readonly number[]): PlanValue {
  return { n: dims[0] ?? 1, c: elementCount(dims.slice(1)), h: 1, w: 1 }
}

/** rows×columns → columns×rows. */
function transposed(data: Float32Array, [rows = 1, columns = 1]: readonly number[]): Float32Array {
  const result = new Float32Array(data.length)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = data[row * columns + column] as number
  return result
}
