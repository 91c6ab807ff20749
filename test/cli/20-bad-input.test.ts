import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t, { type Test } from 'tap'
import { writeNpy } from '../../lib/formats/npy.js'
import { encodeOnnx } from '../../lib/onnx/write.js'
import { floatTensor } from '../../lib/tensor.js'
import { polyadic, type Run, start, temporaryFolder } from '../helpers/cli.js'
import { smallNetwork } from '../helpers/networks.js'

const folder = await temporaryFolder(t)
const file = (name: string): string => path.join(folder, name)
const model = encodeOnnx(smallNetwork())
await writeFile(file('model.onnx'), model)
await writeFile(file('truncated.onnx'), model.subarray(0, Math.floor(model.length / 2)))
await writeFile(file('text.onnx'), 'this is not a network at all\n')
await writeFile(file('empty.onnx'), '')
await writeFile(file('keep.onnx'), 'an older file')
await mkdir(file('folder'))
await writeNpy(file('wrong.npy'), floatTensor(new Float32Array(49), [1, 1, 7, 7]))
await writeNpy(file('bytes.npy'), { dtype: 'uint8', dims: [1, 1, 8, 8], data: new Uint8Array(64) })
const before = (await readdir(folder)).sort()

/** Exit code 1, one line with the code, no stack, nothing on standard output. */
function failsWith(t: Test, run: Run, code: string, message: RegExp): void {
  t.equal(run.code, 1)
  t.equal(run.stdout, '')
  const lines = run.stderr.trim().split('\n')
  t.match(lines.at(-1), /^polyadic: /)
  t.match(lines.at(-1), message)
  t.ok(lines.at(-1)?.endsWith(`(${code})`), `${lines.at(-1)} ends with (${code})`)
  t.notMatch(run.stderr, /\n\s+at /)
}

for (const command of ['inspect', 'bench', 'compress', 'finetune', 'run']) {
  t.test(`${command}: a file that is no network`, async (t) => {
    const rest =
      {
        compress: ['--rank', 'conv2=4', '-o', file('out.onnx')],
        finetune: ['--data', folder, '-o', file('out.onnx')],
        run: ['--input', file('wrong.npy')]
      }[command] ?? []
    for (const [name, code] of [
      ['truncated', 'FORMAT'],
      ['text', 'FORMAT'],
      ['empty', 'FORMAT'],
      ['missing', 'IO']
    ] as const) {
      failsWith(t, await polyadic(command, file(`${name}.onnx`), ...rest), `POLYADIC_${code}`, new RegExp(`${name}\\.onnx`))
    }
  })
}

t.test('compress: unknown layer, missing data folder, output that cannot be', async (t) => {
  const compress = (...args: string[]): Promise<Run> => polyadic('compress', file('model.onnx'), ...args)
  failsWith(t, await compress('--rank', 'conv9=4', '-o', file('out.onnx')), 'POLYADIC_ARGUMENT', /conv9/)
  failsWith(t, await compress('--rank', 'relu1=4', '-o', file('out.onnx')), 'POLYADIC_ARGUMENT', /relu1/)
  failsWith(
    t,
    await compress('--rank', 'conv2=4', '-o', file('out.onnx'), '--data', file('nowhere')),
    'POLYADIC_IO',
    /nowhere.*does not exist/
  )
  failsWith(t, await compress('--rank', 'conv2=4', '-o', file('no/such/out.onnx')), 'POLYADIC_IO', /out\.onnx/)
  failsWith(t, await compress('--rank', 'conv2=4', '-o', file('folder')), 'POLYADIC_IO', /is a folder/)
})

t.test('an older output file stays as it was when a command fails', async (t) => {
  await polyadic('compress', file('model.onnx'), '--rank', 'conv9=4', '-o', file('keep.onnx'))
  await polyadic('finetune', file('model.onnx'), '--data', file('nowhere'), '-o', file('keep.onnx'))
  t.equal(await readFile(file('keep.onnx'), 'utf8'), 'an older file')
})

t.test('run: inputs that do not fit', async (t) => {
  const run = (...args: string[]): Promise<Run> => polyadic('run', file('model.onnx'), ...args)
  failsWith(t, await run('--input', file('wrong.npy')), 'POLYADIC_SHAPE', /image/)
  failsWith(t, await run('--input', file('bytes.npy')), 'POLYADIC_SHAPE', /bytes\.npy.*uint8.*\/ 255/)
  failsWith(t, await run('--input', file('nothing.npy')), 'POLYADIC_IO', /nothing\.npy/)
  failsWith(t, await run('--input', file('text.onnx')), 'POLYADIC_FORMAT', /\.npy/)
})

t.test('nothing half-written is left', async (t) => {
  t.strictSame((await readdir(folder)).sort(), before)
})

t.test('POLYADIC_DEBUG adds the stack', async (t) => {
  const { stderr, code } = await start(['inspect', file('text.onnx')], { env: { POLYADIC_DEBUG: '1' } }).finished
  t.equal(code, 1)
  t.match(stderr, /\n\s+at /)
})
