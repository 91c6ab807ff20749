import t from 'tap'
import { native } from '../../lib/native/binding.js'
import type { PlanSpec, PlanStep, PlanValue } from '../../lib/runtime/plan-spec.js'
import { generator, PlanBuilder, type Random, unitWindow } from '../helpers/plan-builder.js'

// TypeScript hands native code plans that fit. Native code does not rely on it for anything that memory depends on.

const shape = (n: number, c: number, h: number, w: number): PlanValue => ({ n, c, h, w })
const image = shape(2, 6, 5, 4)

/** One step from an input 2×6×5×4 (twice, where two are read), with the output it should have. */
const steps: Readonly<Record<string, { step: object; output: PlanValue; inputs?: number }>> = {
  activation: { step: { op: 'activation', activation: { kind: 'relu' } }, output: image },
  softmax: { step: { op: 'softmax' }, output: image },
  log_softmax: { step: { op: 'log_softmax' }, output: image },
  lrn: { step: { op: 'lrn', size: 3, alpha: 1, beta: 0.5, bias: 1 }, output: image },
  affine: { step: { op: 'affine', scale: 0, shift: 0 }, output: image },
  add: { step: { op: 'add' }, output: image, inputs: 2 },
  multiply: { step: { op: 'multiply' }, output: image, inputs: 2 },
  concat: { step: { op: 'concat' }, output: shape(2, 12, 5, 4), inputs: 2 },
  flatten: { step: { op: 'flatten' }, output: shape(2, 120, 1, 1) },
  maxout: { step: { op: 'maxout', pieces: 3, order: 'strided' }, output: shape(2, 2, 5, 4) },
  global_average_pool: { step: { op: 'global_average_pool' }, output: shape(2, 6, 1, 1) },
  max_pool: { step: { op: 'max_pool', ...unitWindow, countIncludePad: false }, output: image },
  convolution: { step: { op: 'convolution', ...unitWindow, groups: 1, weight: 1, bias: -1, residual: 1 }, output: image },
  cp_block: {
    step: {
      op: 'cp_block',
      residual: 1,
      stages: [
        { ...unitWindow, groups: 1, weight: 1, bias: -1 },
        { ...unitWindow, groups: 1, weight: 1, bias: -1 }
      ]
    },
    output: image
  }
}

function planOf(name: string, output: PlanValue, first = image, second = image): PlanSpec {
  const { step, inputs } = steps[name] as (typeof steps)[string]
  return {
    threads: 1,
    training: false,
    values: [first, second, output],
    parameters: [
      { data: new Float32Array(6), trainable: false },
      { data: new Float32Array(36), trainable: false }
    ],
    steps: [{ ...step, ...(inputs === 2 ? { inputs: [0, 1] } : { input: 0 }), output: 2 } as PlanStep],
    inputs: [0, 1],
    outputs: [2]
  }
}

const changed = (value: PlanValue, key: keyof PlanValue, by: number): PlanValue => ({ ...value, [key]: (value[key] as number) + by })

for (const [name, { output, inputs = 1 }] of Object.entries(steps)) {
  t.test(`${name} takes shapes that fit, and no others`, async (t) => {
    native().createPlan(planOf(name, output)).close()
    for (const key of ['n', 'c', 'h', 'w'] as const) {
      // A pool may leave rows out; that is a shape of its own and no matter of memory.
      if (name === 'max_pool' && (key === 'h' || key === 'w')) continue
      for (const by of [1, 1000]) {
        t.throws(() => native().createPlan(planOf(name, changed(output, key, by))), { code: 'POLYADIC_SHAPE' }, `output ${key} + ${by}`)
        if (inputs === 2)
          t.throws(
            () => native().createPlan(planOf(name, output, image, changed(image, key, by))),
            { code: 'POLYADIC_SHAPE' },
            `second ${key}`
          )
      }
      if (name === 'convolution' || name === 'cp_block')
        t.throws(
          () => native().createPlan(planOf(name, output, image, changed(image, key, 1))),
          { code: 'POLYADIC_SHAPE' },
          `residual ${key}`
        )
    }
  })
}

t.test('parameters, pieces and sizes', async (t) => {
  const refused = (name: string, change: object, code = 'POLYADIC_SHAPE'): void => {
    const plan = planOf(name, (steps[name] as { output: PlanValue }).output)
    t.throws(
      () => native().createPlan({ ...plan, steps: [{ ...plan.steps[0], ...change } as PlanStep] }),
      { code },
      `${name} ${JSON.stringify(change)}`
    )
  }
  refused('affine', { scale: 1 })
  refused('affine', { scale: -1 })
  refused('affine', { shift: 7 }, 'POLYADIC_ARGUMENT')
  refused('maxout', { pieces: 2 })
  refused('maxout', { pieces: 2 ** 39 })
  refused('add', { inputs: [0] })
  refused('add', { inputs: [0, 1, 0] })
  refused('convolution', { kernel: [2 ** 20, 2 ** 20] })
  refused('convolution', { dilations: [2 ** 39, 1], kernel: [3, 1] })
  refused('convolution', { pads: [2 ** 39, 0, 0, 2 ** 39] })
  refused('convolution', { groups: 2 ** 39 })
  refused('convolution', { maxout: { pieces: 2 ** 39, order: 'adjacent' } })
  refused('max_pool', { kernel: [6, 1] })
  const huge = shape(2 ** 20, 2 ** 20, 2 ** 20, 2 ** 20)
  t.throws(() => native().createPlan(planOf('softmax', huge, huge)), { code: 'POLYADIC_SHAPE' })
})

t.test('sizes that only come together', async (t) => {
  const far = 2 ** 21
  const one = shape(1, 1, 1, 1)
  const parameters = [{ data: Float32Array.of(1), trainable: true }]
  const convolution = { op: 'convolution', ...unitWindow, groups: 1, weight: 0, bias: -1, input: 0 }
  const plan = (steps: readonly object[], values: readonly PlanValue[], training = false): PlanSpec =>
    ({ threads: 1, training, values, parameters, inputs: [0], outputs: [values.length - 1], steps }) as unknown as PlanSpec
  const down = { ...convolution, strides: [far, 1], pads: [far, 0, 0, 0] }
  const across = { ...convolution, strides: [1, far], pads: [0, far, 0, 0] }
  const [tall, wide] = [shape(1, 1, 2, 1), shape(1, 1, 1, 2)]
  native()
    .createPlan(plan([{ ...down, output: 1 }], [one, tall]))
    .close()
  t.throws(
    () =>
      native().createPlan(
        plan(
          [
            { ...down, output: 1 },
            { ...across, output: 2 }
          ],
          [one, tall, wide]
        )
      ),
    { code: 'POLYADIC_UNSUPPORTED' },
    'each pads another side of the same value'
  )
  const transposed = { op: 'conv_transpose', ...unitWindow, groups: 1, weight: 0, bias: -1, input: 0, output: 1 }
  native()
    .createPlan(plan([{ ...transposed, strides: [far, far] }], [one, one]))
    .close()
  t.throws(
    () => native().createPlan(plan([{ ...transposed, strides: [1000, 1000] }], [shape(1, 1, 2, 2), shape(1, 1, 1001, 1001)])),
    { code: 'POLYADIC_SHAPE', message: /strides are too large/ },
    'a list of taps for each of a million ways to meet the stride'
  )
  t.throws(() => native().createPlan(plan([{ ...transposed, dilations: [2 ** 39, 1], kernel: [3, 1] }], [one, one])), {
    code: 'POLYADIC_SHAPE'
  })
  const dropped = { op: 'dropout', ratio: 0.5, input: 1, output: 2 }
  const trained = [{ ...convolution, output: 1 }, dropped]
  native()
    .createTrainer(plan(trained, [tall, tall, tall], true), [])
    .close()
  t.throws(() => native().createTrainer(plan(trained, [tall, tall, one], true), []), { code: 'POLYADIC_SHAPE' })
})

/** A network of several steps. */
function sound(random: Random): PlanSpec {
  const b = new PlanBuilder(random)
  const x = b.input(random.integer(1, 3), random.integer(1, 9), random.integer(5, 9), random.integer(5, 9))
  const y = b.convolution(x, 8, { kernel: [3, 3], pads: [1, 1, 1, 1] }, { maxout: { pieces: 2, order: 'adjacent' } })
  const z = b.step({ op: 'activation', input: y, activation: { kind: 'relu' } })
  const s = b.step({ op: 'add', inputs: [y, z] })
  const { n, h, w } = b.shape(s)
  const joined = b.step({ op: 'concat', inputs: [y, s] }, { n, c: 8, h, w })
  const pooled = b.step({ op: 'global_average_pool', input: joined }, { n, c: 8, h: 1, w: 1 })
  return b.spec(b.step({ op: 'softmax', input: pooled }))
}

/** A plan with one number in it changed to another, from those that are likely to hurt. */
function damaged(plan: PlanSpec, random: Random): PlanSpec {
  const copy = structuredClone(plan) as unknown as Record<string, unknown>
  const places: [Record<string, number>, string][] = []
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null || ArrayBuffer.isView(node)) return
    for (const [key, value] of Object.entries(node)) {
      if (typeof value === 'number') places.push([node as Record<string, number>, key])
      else visit(value)
    }
  }
  for (const key of ['values', 'steps', 'inputs', 'outputs']) visit(copy[key])
  const [node, key] = places[random.integer(0, places.length - 1)] as (typeof places)[number]
  const values = [-1, 0, 1, 2, 3, 5, 8, 17, 64, 1000, 2 ** 31 - 1, 2 ** 31, 2 ** 39, (node[key] as number) + 1, (node[key] as number) - 1]
  node[key] = values[random.integer(0, values.length - 1)] as number
  return copy as unknown as PlanSpec
}

t.test('a damaged plan is refused or runs within its memory', async (t) => {
  const random = generator(11)
  const outcomes = { refused: 0, ran: 0 }
  for (let i = 0; i < 3000; i++) {
    const plan = damaged(sound(random), random)
    try {
      const made = native().createPlan(plan)
      const size = (index: number): number => {
        const { n, c, h, w } = plan.values[index] as PlanValue
        return n * c * h * w
      }
      made.runSync(
        plan.inputs.map((value) => new Float32Array(size(value))),
        plan.outputs.map((value) => new Float32Array(size(value)))
      )
      made.close()
      outcomes.ran++
    } catch (error) {
      if (!String((error as { code?: unknown }).code).startsWith('POLYADIC_')) throw error
      outcomes.refused++
    }
  }
  t.ok(outcomes.refused > 300 && outcomes.ran > 100, JSON.stringify(outcomes))
})

t.test('a recurrent layer without cells has neither a state of them nor peepholes', async (t) => {
  const [steps, batch, size, hidden] = [2, 3, 4, 5]
  for (const [kind, gates, activations] of [
    ['gru', 3, 2],
    ['rnn', 1, 1]
  ] as const)
    for (const [place, count] of [
      [3, batch * hidden],
      [4, 3 * hidden]
    ] as const) {
      const counts = [steps * batch * size, gates * hidden * size, gates * hidden * hidden, count]
      const dense = (length: number): PlanValue => ({ ...shape(1, 1, 1, length), dense: true })
      const tables = [Int32Array.from([0, 1, 2, 3, 4], (input) => (input === place ? 3 : -1))]
      const step = {
        op: 'recurrent',
        function: kind,
        inputs: [0, 1, 2, 3],
        output: 4,
        sizes: [steps, batch, size, hidden, 1, 0],
        tables,
        cell: Array.from({ length: activations }, () => ({ kind: 'tanh' })),
        numbers: Float32Array.of(0),
        flags: [false]
      }
      const plan = {
        threads: 1,
        training: false,
        values: [...counts.map(dense), dense((steps + 2) * batch * hidden)],
        parameters: [],
        steps: [step as unknown as PlanStep],
        inputs: [0, 1, 2, 3],
        outputs: [4]
      }
      t.throws(() => native().createPlan(plan), { message: /only an LSTM/ }, `${kind}, input ${place}`)
    }
})
