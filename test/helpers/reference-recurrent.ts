import type { DenseStep } from '../../lib/runtime/dense-spec.js'
import type { PlanActivation } from '../../lib/runtime/plan-spec.js'

type Recurrent = Extract<DenseStep, { op: 'recurrent' }>
type Activate = (activation: PlanActivation, v: number) => number
type Vector = readonly number[]

/** LSTM, GRU and RNN in float64, image by image, as the formulas of ONNX's operators are written. */
export function runRecurrent(step: Recurrent, inputs: readonly Float64Array[], out: Float64Array, activate: Activate): void {
  const [steps, batch, , hidden, directions, isReverse] = step.sizes as [number, number, number, number, number, number]
  const lengths = optional(step, inputs, 1)
  for (let d = 0; d < directions; d++) {
    const cell = weightsOf(step, inputs, d, activate)
    for (let n = 0; n < batch; n++) {
      const length = lengths?.[n] ?? steps
      const at = (d * batch + n) * hidden
      const initial = (which: number): Vector => [...(optional(step, inputs, which)?.subarray(at, at + hidden) ?? new Float64Array(hidden))]
      let state: State = { h: initial(2), c: initial(3) }
      const isBackwards = d === 1 || isReverse === 1
      for (let k = 0; k < length; k++) {
        const time = isBackwards ? length - 1 - k : k
        state = cell(time * batch + n, state)
        out.set(state.h, (time * directions * batch + d * batch + n) * hidden)
      }
      out.set(state.h, steps * directions * batch * hidden + at)
      if (step.function === 'lstm') out.set(state.c, (steps + 1) * directions * batch * hidden + at)
    }
  }
}

interface State {
  readonly h: Vector
  readonly c: Vector
}

const optional = (step: Recurrent, inputs: readonly Float64Array[], which: number): Float64Array | undefined =>
  inputs[step.tables[0][which] as number]

/** One direction: the next state from a row of X and the state before. */
function weightsOf(step: Recurrent, inputs: readonly Float64Array[], d: number, activate: Activate): (row: number, state: State) => State {
  const [, , size, hidden, directions] = step.sizes as [number, number, number, number, number]
  const gates = { lstm: 4, gru: 3, rnn: 1 }[step.function]
  const width = gates * hidden
  const [x, w, r] = inputs as [Float64Array, Float64Array, Float64Array]
  const bias = optional(step, inputs, 0)?.subarray(d * 2 * width, (d + 1) * 2 * width) ?? new Float64Array(2 * width)
  const peepholes = optional(step, inputs, 4)?.subarray(d * 3 * hidden, (d + 1) * 3 * hidden) ?? new Float64Array(3 * hidden)
  const own = step.cell.slice((d * step.cell.length) / directions)
  const clip = step.numbers[0] as number
  const f = (which: number, v: number): number => activate(own[which] as PlanActivation, clip > 0 ? Math.min(Math.max(v, -clip), clip) : v)
  const [flag] = step.flags
  const cells = Array.from({ length: hidden }, (_, j) => j)
  const dot = (data: Float64Array, from: number, v: Vector): number =>
    v.reduce((sum, value, i) => sum + value * (data[from + i] as number), 0)
  const ofInput = (gate: number, j: number, row: Vector): number =>
    dot(w, (d * width + gate * hidden + j) * size, row) + (bias[gate * hidden + j] as number)
  const ofState = (gate: number, j: number, h: Vector): number =>
    dot(r, (d * width + gate * hidden + j) * hidden, h) + (bias[width + gate * hidden + j] as number)
  const peep = (gate: number, j: number): number => peepholes[gate * hidden + j] as number

  return (row, { h, c }) => {
    const now: Vector = [...x.subarray(row * size, (row + 1) * size)]
    const sum = (gate: number, j: number): number => ofInput(gate, j, now) + ofState(gate, j, h)
    if (step.function === 'rnn') return { h: cells.map((j) => f(0, sum(0, j))), c }
    if (step.function === 'gru') {
      const reset = cells.map((j) => f(0, sum(1, j)))
      const reduced = h.map((v, j) => v * (reset[j] as number))
      const candidate = cells.map((j) =>
        f(1, ofInput(2, j, now) + (flag ? (reset[j] as number) * ofState(2, j, h) : ofState(2, j, reduced)))
      )
      const update = cells.map((j) => f(0, sum(0, j)))
      return { h: cells.map((j) => (1 - update[j]!) * candidate[j]! + update[j]! * h[j]!), c }
    }
    const input = cells.map((j) => f(0, sum(0, j) + peep(0, j) * c[j]!))
    const forget = cells.map((j) => (flag ? 1 - input[j]! : f(0, sum(2, j) + peep(2, j) * c[j]!)))
    const next = cells.map((j) => forget[j]! * c[j]! + input[j]! * f(1, sum(3, j)))
    return { h: cells.map((j) => f(0, sum(1, j) + peep(1, j) * next[j]!) * activate(own[2] as PlanActivation, next[j]!)), c: next }
  }
}
