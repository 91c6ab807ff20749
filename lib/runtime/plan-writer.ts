import { PolyadicError, show } from '../errors.js'
import type { Graph } from '../graph/graph.js'
import type { AnalysedNode, Analysis } from '../operators/infer.js'
import {
  type NewStep,
  type NodeContext,
  type PlanWriter,
  type TrainingMode,
  type ValueRef,
  nodeError,
  planShape,
  sameShape,
  unsupported
} from '../operators/operator.js'
import { asFloat32, elementCount, type Tensor } from '../tensor.js'
import type { Draft, DraftInput, DraftParameter } from './draft.js'
import type { PlanStep, PlanValue } from './plan-spec.js'

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

  constructor(graph: Graph, analysis: Analysis, training: TrainingMode | undefined) {
    this.#analysis = analysis
    this.#training = training
    for (const name of graph.initializers.keys()) this.#initializerOf.set((analysis.constants.get(name) as Tensor).data, name)
    for (const { name } of graph.inputs) {
      const dims = analysis.dims.get(name) ?? []
      // Other ranks are a row a batch until the network reshapes them.
      const shape = planShape(dims) ?? { n: dims[0] ?? 1, c: elementCount(dims.slice(1)), h: 1, w: 1 }
      this.#refs.set(name, { value: this.#addInput(name, shape) })
    }
  }

  write(analysed: AnalysedNode): void {
    const { node, operator, context } = analysed
    if (this.#training !== undefined && !operator.hasGradient) throw unsupported(context, 'training', 'this operator has no gradient')
    const refs = operator.lower(context, this.#writer(context))
    node.outputs.forEach((name, i) => {
      const ref = refs[i]
      if (name !== '' && ref !== undefined) this.#refs.set(name, ref)
    })
  }

  draft(outputs: readonly number[]): Draft {
    return { values: this.#values, parameters: this.#parameters, steps: this.#steps, inputs: this.#inputs, outputs }
  }

  /** The plan value of a graph output. */
  output(name: string): number {
    const ref = this.#refs.get(name)
    if (ref !== undefined && ref.view === undefined) return ref.value
    const what = ref === undefined ? 'does not depend on any input' : 'is a part of the channels or a padded value'
    throw new PolyadicError('POLYADIC_UNSUPPORTED', `output ${show(name)} ${what}; it must be computed by a node`, { subject: name })
  }

  #addInput(name: string, shape: PlanValue): number {
    const value = this.#values.push(shape) - 1
    this.#inputs.push({ name, value })
    return value
  }

  #writer(context: NodeContext): PlanWriter {
    return {
      training: this.#training,
      ref: (index) => this.#ref(context, index),
      plain: (index) => this.#plain(context, index),
      shape: (value) => this.#values[value] as PlanValue,
      reshapedInput: (value, shape) => this.#reshapedInput(value, shape),
      parameter: (tensor) => this.#parameter(context, tensor, 'same'),
      transposed: (tensor) => this.#parameter(context, tensor, 'transposed'),
      statistics: (tensor) => this.#parameter(context, tensor, 'same', false),
      derived: (data) => this.#addParameter({ data, trainable: false, initializers: [], layout: 'derived' }),
      emit: (step, shape) => this.#emit(step, shape)
    }
  }

  #emit(step: NewStep, shape: PlanValue): ValueRef {
    const output = this.#values.push(shape) - 1
    this.#steps.push({ ...step, output } as PlanStep)
    return { value: output }
  }

  #ref(context: NodeContext, index: number): ValueRef {
    const name = context.node.inputs[index] ?? ''
    const ref = this.#refs.get(name)
    if (ref !== undefined) return ref
    if (this.#analysis.constants.has(name))
      throw unsupported(context, `the constant input ${show(name)}`, "a value computed from the network's inputs is needed")
    throw nodeError(context, `input ${show(name)} does not exist`)
  }

  #plain(context: NodeContext, index: number): number {
    const { value, view } = this.#ref(context, index)
    const dims = context.inputs[index]?.dims ?? []
    const shape = planShape(dims)
    if (view === undefined && shape !== undefined && sameShape(shape, this.#values[value] as PlanValue)) return value
    const found = { channels: 'a part of the channels', padded: 'a padded value', reshaped: `a value reshaped to ${show(dims)}` }[
      view?.kind ?? 'reshaped'
    ]
    const needed = {
      channels: 'slices of channels are only understood in front of Max (maxout)',
      padded: 'only a convolution or pooling can follow a Pad',
      reshaped: 'reshaping is only understood as flattening, of a graph input, or in front of ReduceMax (maxout) and ReduceMean'
    }[view?.kind ?? 'reshaped']
    throw unsupported(context, `its input ${show(context.node.inputs[index])}, ${found},`, needed)
  }

  #reshapedInput(value: number, shape: PlanValue): number | undefined {
    const input = this.#inputs.find((candidate) => candidate.value === value)
    if (input === undefined) return undefined
    const known = this.#inputs.find(
      (candidate) => candidate.name === input.name && sameShape(this.#values[candidate.value] as PlanValue, shape)
    )
    return known?.value ?? this.#addInput(input.name, shape)
  }

  #parameter(context: NodeContext, tensor: Tensor, layout: 'same' | 'transposed', trained = true): number {
    const known = this.#parameterOf.get(tensor.data) ?? []
    const same = known.find((entry) => entry.layout === layout)
    if (same !== undefined) return same.index
    const initializer = this.#initializerOf.get(tensor.data)
    if (this.#training !== undefined && known.length > 0 && initializer !== undefined) {
      throw unsupported(context, `training ${show(initializer)}, which is used both as it is and transposed,`, 'one of the two is needed')
    }
    const data = asFloat32(tensor, initializer ?? context.node.name)
    const index = this.#addParameter({
      data: layout === 'same' ? data : transposed(data, tensor.dims),
      trainable: this.#training !== undefined && trained && initializer !== undefined,
      initializers: initializer === undefined ? [] : [initializer],
      layout: initializer === undefined ? 'derived' : layout
    })
    this.#parameterOf.set(tensor.data, [...known, { index, layout }])
    return index
  }

  #addParameter(parameter: DraftParameter): number {
    return this.#parameters.push(parameter) - 1
  }
}

/** rows×columns → columns×rows. */
function transposed(data: Float32Array, [rows = 1, columns = 1]: readonly number[]): Float32Array {
  const result = new Float32Array(data.length)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = data[row * columns + column] as number
  return result
}
