import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { writeNpy } from '../../lib/formats/npy.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import type { Graph } from '../../lib/graph/graph.js'
import { type FloatTensor, floatTensor } from '../../lib/tensor.js'
import type { ExampleSet } from '../../lib/training/batches.js'
import { readCheckpoint, writeCheckpoint } from '../../lib/training/checkpoint.js'
import { fineTune, type FineTuneOptions } from '../../lib/training/fine-tune.js'
import { random } from '../../lib/random.js'
import { rejectsError } from '../helpers/expect-error.js'
import { resumableNetwork, resumableOptions } from './resumable-training.js'
import { bits, toySize } from './toy.js'

const script = fileURLToPath(new URL('child/resumable.mjs', import.meta.url))
const names = [...resumableNetwork().initializers.keys()].filter((name) => resumableNetwork().initializers.get(name)?.dtype === 'float32')

/** A folder with the network and its data, for `script`. */
async function prepare(folder: string): Promise<void> {
  await writeOnnx(resumableNetwork(), path.join(folder, 'model.onnx'))
  const { train, validation } = resumableOptions()
  for (const [name, set] of [
    ['train', train],
    ['validation', validation]
  ] as const) {
    const { images, labels, count } = set as ExampleSet
    const split = path.join(folder, 'data', name)
    mkdirSync(split, { recursive: true })
    await writeNpy(path.join(split, 'inputs.npy'), floatTensor(images, [count, 1, toySize, toySize]))
    await writeNpy(path.join(split, 'labels.npy'), { dtype: 'int32', dims: [count], data: labels as Int32Array })
  }
}

function start(folder: string, out: string): ChildProcess {
  mkdirSync(out, { recursive: true })
  return spawn(process.execPath, [script, folder, out], { stdio: ['ignore', 'pipe', 'inherit'] })
}

/** SIGKILL after `lines` steps of this process and some microseconds more; whether the process had ended before. */
async function killAfter(child: ChildProcess, lines: number, delay: number): Promise<boolean> {
  let seen = 0
  const reader = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const exited = once(child, 'exit')
  reader.on('line', () => {
    if (++seen !== lines) return
    const until = process.hrtime.bigint() + BigInt(Math.round(delay * 1e6))
    while (process.hrtime.bigint() < until);
    child.kill('SIGKILL')
  })
  const [code, signal] = (await exited) as [number | null, string | null]
  if (signal !== 'SIGKILL' && code !== 0) throw new Error(`the child ended with ${code ?? signal}`)
  return signal !== 'SIGKILL'
}

t.test('killed at twenty random moments, it reaches the bits of a run that was left alone', async (t) => {
  const folder = t.testdir()
  await prepare(folder)
  const [alone, killed] = [path.join(folder, 'alone'), path.join(folder, 'killed')]
  const resultOf = (out: string): unknown => JSON.parse(readFileSync(path.join(out, 'result.json'), 'utf8'))
  t.ok(await killAfter(start(folder, alone), Infinity, 0))
  const expected = resultOf(alone) as { steps: number }
  t.equal(expected.steps, 60)
  const chance = random(11)
  let [kills, finished] = [0, 0]
  // Whoever gets through starts again from nothing, until twenty processes have been killed; then one finishes.
  for (let last = false; !last; ) {
    last = kills === 20
    const steps = last ? Infinity : 1 + Math.floor(20 * chance.next())
    if (!(await killAfter(start(folder, killed), steps, 8 * chance.next()))) {
      kills++
      continue
    }
    finished++
    t.ok(JSON.stringify(resultOf(killed)) === JSON.stringify(expected), `the same bits after ${kills} kills in all`)
    rmSync(path.join(killed, 'checkpoint'))
  }
  t.equal(kills, 20)
  t.ok(finished > 1)
})

t.test('an abort leaves a checkpoint of its own moment', async (t) => {
  const file = path.join(t.testdir(), 'checkpoint')
  const whole = await fineTune(resumableNetwork(), resumableOptions())
  const controller = new AbortController()
  const reason = new Error('enough')
  const onProgress = ({ step }: { readonly step: number }): void => {
    if (step === 23) controller.abort(reason)
  }
  await t.rejects(
    fineTune(resumableNetwork(), { ...resumableOptions(), signal: controller.signal, onProgress, checkpoint: { path: file } }),
    reason
  )
  const steps: number[] = []
  const resumed = await fineTune(resumableNetwork(), {
    ...resumableOptions(),
    checkpoint: { path: file, resume: true },
    onProgress: ({ step }) => steps.push(step)
  })
  t.equal(steps[0], 24)
  for (const name of names) t.equal(bits(resumed.graph, name), bits(whole.graph, name), name)
  t.same(
    resumed.history.map(({ validation }) => validation),
    whole.history.map(({ validation }) => validation)
  )
})

t.test('an abort that keeps: the best weights so far', async (t) => {
  const controller = new AbortController()
  const options = { ...resumableOptions(), signal: controller.signal, onAbort: 'keep' } as const
  const result = await fineTune(resumableNetwork(), {
    ...options,
    onProgress: ({ step }) => {
      if (step === 40) controller.abort()
    }
  })
  t.ok(result.aborted)
  t.equal(result.history.length, 2)
  const two = await fineTune(resumableNetwork(), { ...resumableOptions(), epochs: 2 })
  t.equal(result.best.accuracy, two.best.accuracy)
  for (const name of names) t.equal(bits(result.graph, name), bits(two.graph, name), name)
})

t.test('checkpoint files: any value comes back, damage and strangers are refused', async (t) => {
  const file = path.join(t.testdir(), 'checkpoint')
  const shared = Float32Array.of(1, Number.NaN, -0)
  const value = { a: [1, Number.NaN, Infinity, -0, null, 'x'], b: { one: shared, two: shared, empty: new Float32Array(0) }, c: true }
  await writeCheckpoint(file, value)
  const back = (await readCheckpoint(file)) as typeof value
  t.same(back, value)
  t.ok(Object.is(back.a[3], -0))
  t.equal(back.b.one, back.b.two, 'stored once')
  t.equal(await readCheckpoint(`${file}.none`), undefined)
  const bytes = readFileSync(file)
  for (const length of [0, 10, 40, bytes.length - 1]) {
    writeFileSync(file, bytes.subarray(0, length))
    await t.rejects(readCheckpoint(file), { code: 'POLYADIC_FORMAT', subject: file }, `${length} bytes`)
  }
  const changed = Buffer.from(bytes)
  changed[bytes.length - 40]! ^= 1
  writeFileSync(file, changed)
  await t.rejects(readCheckpoint(file), { code: 'POLYADIC_FORMAT' }, 'one bit')
  t.ok(existsSync(file))
})

t.test('a checkpoint of another training is refused', async (t) => {
  const file = path.join(t.testdir(), 'checkpoint')
  const graph = resumableNetwork()
  const { validation: _, ...options } = resumableOptions()
  await fineTune(graph, { ...options, epochs: 1, checkpoint: { path: file } })
  const [first = ''] = names
  const weights = graph.initializers.get(first) as FloatTensor
  const retrained = {
    ...graph,
    initializers: new Map(graph.initializers).set(
      first,
      floatTensor(
        weights.data.map((x) => x * 1.5),
        weights.dims
      )
    )
  }
  const sigmoid = { ...graph, nodes: graph.nodes.map((node) => (node.opType === 'Relu' ? { ...node, opType: 'Sigmoid' } : node)) }
  const { images, labels, count } = options.train as ExampleSet
  const part = {
    images: images.subarray(0, (images.length / count) * (count - 1)),
    labels: (labels as Int32Array).subarray(1),
    count: count - 1
  }
  const darker = { images: images.map((x) => x / 2), count, labels: labels as Int32Array }
  const towards = (teacher: Graph) => ({ distillation: { teacher, labels: 1 } })
  const cases: readonly (readonly [graph: Graph, options: Partial<FineTuneOptions>, what: string])[] = [
    [graph, { seed: 6 }, 'seed'],
    [retrained, {}, 'first weights'],
    [sigmoid, {}, 'network'],
    [graph, { frozen: [first] }, 'frozen'],
    [graph, { loss: 'mean-squared', train: { ...darker, labels: new Float32Array(count * 3) } }, 'loss, train'],
    [graph, { train: part }, 'train'],
    [graph, { train: darker }, 'train'],
    [graph, { train: { images, labels: (labels as Int32Array).toReversed(), count } }, 'train'],
    [graph, { validation: darker }, 'validation'],
    [graph, towards(graph), 'distillation']
  ]
  for (const [network, changed, what] of cases) {
    const other = { ...options, ...changed, checkpoint: { path: file, resume: true } }
    const before = readFileSync(file)
    const error = await fineTune(network, other).catch((reason: unknown) => reason)
    t.match(error, { code: 'POLYADIC_FORMAT', subject: file, message: new RegExp(`another training: [^:]*${what}`) }, what)
    t.ok(readFileSync(file).equals(before), 'the checkpoint stays')
  }
  await fineTune(graph, { ...options, ...towards(graph), epochs: 1, checkpoint: { path: file } })
  await rejectsError(
    t,
    fineTune(graph, { ...options, ...towards(retrained), checkpoint: { path: file, resume: true } }),
    'POLYADIC_FORMAT',
    'distillation differs'
  )
})

t.test('what is trained more, or at another rate, goes on; without a file it begins, and says so', async (t) => {
  const file = path.join(t.testdir(), 'checkpoint')
  const checkpoint = { path: file, resume: true }
  t.equal((await fineTune(resumableNetwork(), { ...resumableOptions(), epochs: 1, checkpoint })).resumedFrom, undefined)
  const more = await fineTune(resumableNetwork(), {
    ...resumableOptions(),
    epochs: 2,
    learningRate: 0.001,
    weightDecay: 0,
    clipNorm: 2,
    threads: 2,
    checkpoint
  })
  t.equal(more.resumedFrom, more.history[0]?.steps)
  t.equal(more.history.length, 2)
  t.equal((await fineTune(resumableNetwork(), { ...resumableOptions(), epochs: 1 })).resumedFrom, undefined)
})

t.test('a checkpoint of the former version is told from one that is broken', async (t) => {
  const file = path.join(t.testdir(), 'checkpoint')
  await writeCheckpoint(file, {})
  writeFileSync(file, Buffer.concat([Buffer.from('polyadic training checkpoint 1\n'), readFileSync(file).subarray(31)]))
  const checkpoint = { path: file, resume: true }
  await rejectsError(t, fineTune(resumableNetwork(), { ...resumableOptions(), checkpoint }), 'POLYADIC_FORMAT', 'an earlier version')
})
