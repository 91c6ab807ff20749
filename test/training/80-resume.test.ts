import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { writeNpy } from '../../lib/formats/npy.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { floatTensor } from '../../lib/tensor.js'
import type { ExampleSet } from '../../lib/training/batches.js'
import { readCheckpoint, writeCheckpoint } from '../../lib/training/checkpoint.js'
import { fineTune } from '../../lib/training/fine-tune.js'
import { random } from '../../lib/random.js'
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
  await fineTune(resumableNetwork(), { ...resumableOptions(), epochs: 1, checkpoint: { path: file } })
  const other = { ...resumableOptions(), seed: 6, checkpoint: { path: file, resume: true } }
  await t.rejects(fineTune(resumableNetwork(), other), { code: 'POLYADIC_FORMAT', subject: file, message: /another training/ })
})
