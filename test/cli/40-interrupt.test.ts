import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { Interrupted } from '../../lib/cli/command.js'
import { noting } from '../../lib/cli/saving.js'
import { readOnnx } from '../../lib/onnx/read.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { start, temporaryFolder } from '../helpers/cli.js'
import { smallNetwork, writeQuadrants } from '../helpers/networks.js'

const folder = await temporaryFolder(t)
const file = (name: string): string => path.join(folder, name)
await writeOnnx(smallNetwork(128), file('model.onnx'))
await writeQuadrants(file('data'), 2000)

const longRuns = {
  compress: ['--rank', 'conv2=60', '--when-slower', 'replace', '--tolerance', '0', '--max-iterations', '1000000'],
  finetune: ['--data', file('data'), '--epochs', '100000']
}

/** Until it is in the middle of its work: it has told its progress. */
async function working({ stderr }: ChildProcess, told = /fine-tuning|decomposing/): Promise<void> {
  let text = ''
  while (stderr !== null && !told.test(text)) text += (await once(stderr, 'data')).join('')
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143]
] as const) {
  t.test(`${signal} ends compress with ${code} and leaves nothing`, async (t) => {
    const { child, finished } = start(['compress', file('model.onnx'), ...longRuns.compress, '-o', file('out.onnx')])
    await working(child)
    child.kill(signal)
    const run = await finished
    t.equal(run.code, code, run.stderr)
    t.match(run.stderr, 'polyadic: interrupted, nothing was written')
    t.strictSame((await readdir(folder)).sort(), ['data', 'model.onnx'])
  })

  t.test(`${signal} ends finetune with ${code}; the best weights are written as soon as there are some`, async (t) => {
    for (const [told, hasWeights] of [
      [/fine-tuning/, false],
      [/epoch [2-9]/, true]
    ] as const) {
      const { child, finished } = start(['finetune', file('model.onnx'), ...longRuns.finetune, '-o', file('out.onnx')])
      await working(child, told)
      child.kill(signal)
      const run = await finished
      t.equal(run.code, code, run.stderr)
      const isWritten = (await readdir(folder)).includes('out.onnx')
      if (hasWeights) t.ok(isWritten, 'an epoch had ended')
      t.match(
        run.stderr,
        isWritten ? /interrupted: the network, trained up to epoch \d+, is written to ".*out.onnx"/ : 'interrupted, nothing was written'
      )
      if (isWritten) t.not((await readOnnx(file('out.onnx'))).initializers.size, 0)
      await rm(file('out.onnx'), { force: true })
    }
  })
}

/** Interrupts its own process as soon as that says that it is done with training, before it has written anything. */
const interrupting = `
  const write = process.stderr.write.bind(process.stderr)
  process.stderr.write = (text, ...more) => {
    if (String(text).includes('fine-tuned')) {
      process.stderr.write = write
      process.kill(process.pid, 'SIGINT')
      write('interrupted when it was told so\\n')
    }
    return write(text, ...more)
  }
`

t.test('an interruption after the last step loses nothing, with or without a checkpoint', async (t) => {
  await writeFile(file('interrupt.mjs'), interrupting)
  t.teardown(() => rm(file('interrupt.mjs')))
  for (const checkpoint of [[], ['--checkpoint', file('ck')]]) {
    const args = ['finetune', file('model.onnx'), '--data', file('data'), '--epochs', '1', '-o', file('out.onnx'), ...checkpoint]
    const run = await start(args, { env: { NODE_OPTIONS: `--import=${pathToFileURL(file('interrupt.mjs'))}` } }).finished
    t.match(run.stderr, 'fine-tuned')
    t.match(run.stderr, 'interrupted when it was told so')
    t.not((await readOnnx(file('out.onnx'))).initializers.size, 0)
    await rm(file('out.onnx'))
    await rm(file('ck'), { force: true })
  }
})

t.test('an interruption names the checkpoint that it has left', async (t) => {
  const checkpoint = file('ck')
  const args = ['finetune', file('model.onnx'), ...longRuns.finetune, '-o', file('out.onnx'), '--checkpoint', checkpoint]
  const { child, finished } = start(args)
  await working(child)
  child.kill('SIGTERM')
  const run = await finished
  t.equal(run.code, 143, run.stderr)
  t.match(run.stderr, /polyadic: interrupted: ".*ck" is a checkpoint, from which --resume goes on; nothing else was written/)
  t.strictSame((await readdir(folder)).sort(), ['ck', 'data', 'model.onnx'])
})

t.test('compress interrupted while it tunes writes the decomposed network', async (t) => {
  const decomposed = ['--rank', 'conv2=4', '--when-slower', 'replace', '-o', file('small.onnx')]
  for (const [told, how] of [
    [/fine-tuning/, '(not fine-tuned|fine-tuned up to epoch \\d+)'],
    [/fine-tuning[\s\S]*fine-tuning/, 'fine-tuned up to epoch \\d+']
  ] as const) {
    const { child, finished } = start(['compress', file('model.onnx'), ...decomposed, ...longRuns.finetune])
    await working(child, told)
    child.kill('SIGINT')
    const run = await finished
    t.equal(run.code, 130, run.stderr)
    t.match(run.stderr, new RegExp(`interrupted: the decomposed network, ${how}, is written to ".*small.onnx"; nothing else was written`))
    t.equal((await readOnnx(file('small.onnx'))).nodes.filter(({ opType }) => opType === 'Conv').length, 5)
  }
})

t.test('an interruption that comes when something is written already says what, and stays one', async (t) => {
  const interrupted = noting(new Interrupted('SIGTERM'), 'the network is trained and written to "out.onnx"')
  t.ok(interrupted instanceof Interrupted)
  t.match(interrupted, { exitCode: 143, left: 'the network is trained and written to "out.onnx"' })
})
