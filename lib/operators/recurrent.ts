import { show } from '../errors.js'
import { floatAttribute, floatsAttribute, intAttribute, stringAttribute, stringsAttribute } from '../graph/rewrite.js'
import type { PlanActivation } from '../runtime/plan-spec.js'
import { elementCount } from '../tensor.js'
import { type Dense, part, refOf, transpose } from './dense.js'
import {
  type NodeContext,
  type Operator,
  type PlanWriter,
  allOpsets,
  nodeError,
  requiredInput,
  shapeError,
  unsupported
} from './operator.js'

interface Cell {
  readonly kind: 'lstm' | 'gru' | 'rnn'
  readonly gates: number
  readonly activations: readonly string[]
}

const cells: Readonly<Record<string, Cell>> = {
  LSTM: { kind: 'lstm', gates: 4, activations: ['Sigmoid', 'Tanh', 'Tanh'] },
  GRU: { kind: 'gru', gates: 3, activations: ['Sigmoid', 'Tanh'] },
  RNN: { kind: 'rnn', gates: 1, activations: ['Tanh'] }
}

/** What an activation of a cell is in a plan, and alpha and beta where a node does not give them. */
const activations: Readonly<Record<string, PlanActivation>> = {
  Relu: { kind: 'relu' },
  Tanh: { kind: 'tanh' },
  Sigmoid: { kind: 'sigmoid' },
  Softsign: { kind: 'softsign' },
  Softplus: { kind: 'softplus' },
  Affine: { kind: 'affine', alpha: 1, beta: 0 },
  LeakyRelu: { kind: 'leaky_relu', alpha: 0.01 },
  ThresholdedRelu: { kind: 'thresholded_relu', alpha: 1 },
  ScaledTanh: { kind: 'scaled_tanh', alpha: 1, beta: 1 },
  HardSigmoid: { kind: 'hard_sigmoid', alpha: 0.2, beta: 0.5 },
  Elu: { kind: 'elu', alpha: 1 }
}

interface Geometry {
  readonly cell: Cell
  readonly steps: number
  readonly batch: number
  readonly size: number
  readonly hidden: number
  readonly directions: number
  /** Batch first (layout 1). */
  readonly isBatchFirst: boolean
  readonly isReverse: boolean
}

function geometry(context: NodeContext): Geometry {
  const cell = cells[context.node.opType] as Cell
  const [x, w, r] = [0, 1, 2].map((index) => requiredInput(context, index).dims) as [
    readonly number[],
    readonly number[],
    readonly number[]
  ]
  const isBatchFirst = intAttribute(context.node, 'layout', 0) !== 0
  const hidden = r[2] ?? 0
  const direction = stringAttribute(context.node, 'direction', 'forward')
  if (!['forward', 'reverse', 'bidirectional'].includes(direction)) throw nodeError(context, `direction ${show(direction)} does not exist`)
  const directions = direction === 'bidirectional' ? 2 : 1
  const [first = 1, second = 1, size = 1] = x
  const fits = x.length === 3 && w.length === 3 && w[0] === directions && r[0] === directions
  const width = cell.gates * hidden
  if (!fits || w[1] !== width || w[2] !== size || r[1] !== width)
    throw shapeError(context, `X ${show(x)}, W ${show(w)} and R ${show(r)} do not fit each other for ${directions} direction(s)`)
  const [steps, batch] = isBatchFirst ? [second, first] : [first, second]
  return { cell, steps, batch, size, hidden, directions, isBatchFirst, isReverse: direction === 'reverse' }
}

/** The activations, direction by direction. */
function activationsOf(context: NodeContext, { cell, directions }: Geometry): PlanActivation[] {
  const fallback = Array.from({ length: directions }, () => cell.activations).flat()
  const given = context.node.attributes.has('activations') ? stringsAttribute(context.node, 'activations') : fallback
  if (given.length !== fallback.length) throw nodeError(context, `activations: expected ${fallback.length} names, got ${show(given)}`)
  const queue = (name: string): number[] => [...floatsAttribute(context.node, name, [])]
  const [alphas, betas] = [queue('activation_alpha'), queue('activation_beta')]
  return given.map((name) => {
    const known = Object.keys(activations).find((other) => other.toLowerCase() === name.toLowerCase())
    if (known === undefined)
      throw unsupported(context, `the activation ${show(name)}`, `one of ${Object.keys(activations).join(', ')} is needed`)
    // Alphas and betas are listed for those activations alone that have them.
    const { kind, alpha, beta } = activations[known] as PlanActivation
    return {
      kind,
      ...(alpha !== undefined && { alpha: alphas.shift() ?? alpha }),
      ...(beta !== undefined && { beta: betas.shift() ?? beta })
    }
  })
}

/** Y steps×directions×batch×hidden, then the last states, directions×batch×hidden each; batch first with layout 1. */
function dimsOf({ steps, batch, hidden, directions, isBatchFirst }: Geometry): { readonly y: number[]; readonly state: number[] } {
  return isBatchFirst
    ? { y: [batch, steps, directions, hidden], state: [batch, directions, hidden] }
    : { y: [steps, directions, batch, hidden], state: [directions, batch, hidden] }
}

function emit(context: NodeContext, plan: PlanWriter, own: Geometry): Dense {
  const { cell, steps, batch, size, hidden, directions, isBatchFirst, isReverse } = own
  const swapped = (x: Dense): Dense => plan.contiguous(isBatchFirst ? transpose(x, [1, 0, 2]) : x)
  const inputs = [swapped(plan.dense(0)), plan.contiguous(plan.dense(1)), plan.contiguous(plan.dense(2))]
  // bias, lengths, initial h and c, peepholes
  const places = [3, 4, 5, 6, 7].map((index) => {
    const isThere = context.inputs[index] !== undefined && (cell.kind === 'lstm' || index < 6)
    if (!isThere) return -1
    const isState = index === 5 || index === 6
    return inputs.push(isState ? swapped(plan.dense(index)) : plan.contiguous(plan.dense(index))) - 1
  })
  const flag = cell.kind === 'lstm' ? 'input_forget' : 'linear_before_reset'
  const count = directions * batch * hidden
  return plan.emitDense(
    {
      op: 'recurrent',
      function: cell.kind,
      inputs: inputs.map(({ value }) => value),
      sizes: [steps, batch, size, hidden, directions, Number(isReverse)],
      tables: [Int32Array.from(places)],
      cell: activationsOf(context, own),
      numbers: Float32Array.of(floatAttribute(context.node, 'clip', 0)),
      flags: [cell.kind !== 'rnn' && intAttribute(context.node, flag, 0) !== 0]
    },
    [steps * count + 2 * count]
  )
}

function recurrent(opType: string): Operator {
  return {
    opType,
    opsets: allOpsets,
    limits: 'alpha and beta that are not given are those of the operators of that name',
    parameters: [1, 2, 3, 7],
    biases: [3],
    dims(context) {
      const { y, state } = dimsOf(geometry(context))
      return [y, state, state].slice(0, opType === 'LSTM' ? 3 : 2)
    },
    macs(context) {
      const { steps, batch, size, hidden, directions, cell } = geometry(context)
      return steps * batch * directions * cell.gates * hidden * (size + hidden)
    },
    lower(context, plan) {
      const own = geometry(context)
      const { steps, batch, hidden, directions, isBatchFirst } = own
      const all = emit(context, plan, own)
      const state = [directions, batch, hidden]
      const count = elementCount(state)
      const parts = [part(all, 0, [steps, ...state]), part(all, steps * count, state), part(all, (steps + 1) * count, state)]
      const [y, ...states] = parts as [Dense, Dense, Dense]
      if (!isBatchFirst) return parts.map(refOf)
      return [transpose(y, [2, 0, 1, 3]), ...states.map((x) => transpose(x, [1, 0, 2]))].map(refOf)
    }
  }
}

export const recurrences: readonly Operator[] = ['LSTM', 'GRU', 'RNN'].map(recurrent)
