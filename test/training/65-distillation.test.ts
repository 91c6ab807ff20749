import t from 'tap'
import { makeNode } from '../../lib/graph/rewrite.js'
import { fineTune } from '../../lib/training/fine-tune.js'
import { rejectsError } from '../helpers/expect-error.js'
import { bars, toyNetwork } from './toy.js'

const { images, labels, count } = bars(48, 1)
const unlabelled = { train: { images, count }, validation: { images, count }, epochs: 1, batchSize: 16, threads: 1 }
const student = toyNetwork(1)
const teacher = toyNetwork(2)

t.test("a teacher's value that cannot be compared with the student's is named with it", async (t) => {
  const run = (options: object, distillation: object) =>
    fineTune(student, { ...unlabelled, ...options, distillation: { teacher, ...distillation } })
  await rejectsError(t, run({ logits: 'f' }, {}), 'POLYADIC_SHAPE', 'distillation.logits', '"f" is 16×12', '"logits" 16×3')
  await rejectsError(
    t,
    run({}, { features: [{ teacher: 'r1', student: 'r2' }] }),
    'POLYADIC_SHAPE',
    'features',
    '"r2" is 16×12×8×8',
    '"r1" 16×8×10×10'
  )
  const turned = {
    ...teacher,
    nodes: [...teacher.nodes, makeNode({ opType: 'Transpose', inputs: ['f'], outputs: ['ft'], attributes: { perm: [1, 0] } })]
  }
  const ofTurned = fineTune(turned, { ...unlabelled, distillation: { teacher: turned, features: [{ teacher: 'ft' }] } })
  await rejectsError(t, ofTurned, 'POLYADIC_SHAPE', 'features', '"ft" is 12×16', '16×3')
  await rejectsError(t, run({ train: { images, labels, count } }, { logits: 'f' }), 'POLYADIC_SHAPE', '"logits" is 16×3', '"f" 16×12')
  t.ok((await run({ logits: 'f' }, { logits: 'f' })).best.accuracy >= 0)
})

t.test('a teacher with a fixed batch teaches any batch', async (t) => {
  const towards = (teacher: typeof student) => fineTune(student, { ...unlabelled, distillation: { teacher } })
  const fixed = { ...teacher, inputs: teacher.inputs.map((input) => ({ ...input, dims: [1, 1, 10, 10] })) }
  t.same((await towards(fixed)).best, (await towards(teacher)).best)
})

t.test('there is no accuracy where values are trained on, and the best is the one of least loss', async (t) => {
  const values = { images, labels: Float32Array.from({ length: 3 * count }, (_, i) => Math.sin(i)), count }
  const seen: number[] = []
  const options = {
    train: values,
    validation: values,
    loss: 'mean-squared',
    logits: 'logits',
    epochs: 3,
    batchSize: 16,
    threads: 1
  } as const
  const { initial, history, best } = await fineTune(student, { ...options, onProgress: ({ accuracy }) => seen.push(accuracy) })
  const accuracies = [
    initial?.accuracy,
    best.accuracy,
    ...history.flatMap(({ accuracy, validation }) => [accuracy, validation?.accuracy]),
    ...seen
  ]
  t.ok(accuracies.every(Number.isNaN), String(accuracies))
  t.equal(best.loss, Math.min(...[initial, ...history.map(({ validation }) => validation)].map((one) => one?.loss ?? Infinity)))
  t.ok(best.epoch > 0)
})
