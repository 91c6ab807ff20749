import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { link, open, readFile, symlink } from 'node:fs/promises'
import path from 'node:path'
import t, { type Test } from 'tap'
import { readNpy, writeNpy } from '../../lib/formats/npy.js'
import { readNpz, writeNpz } from '../../lib/formats/npz.js'
import type { Graph } from '../../lib/graph/graph.js'
import { int, makeGraph, makeNode } from '../../lib/graph/rewrite.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { floatTensor } from '../../lib/tensor.js'
import { main, polyadic, type Run, temporaryFolder } from '../helpers/cli.js'
import { smallNetwork } from '../helpers/networks.js'

const folder = await temporaryFolder(t)
const file = (name: string): string => path.join(folder, name)
await writeOnnx(smallNetwork(), file('model.onnx'))
await writeOnnx(smallNetwork(), file('other.onnx'))
await writeNpy(file('x.npy'), floatTensor(new Float32Array(64), [1, 1, 8, 8]))

/** A network that gives its input in another type. */
function cast(to: number, input = 'x', output = 'y', name = 'cast'): Graph {
  return makeGraph({
    name,
    inputs: [{ name: input, dtype: 'float32', dims: [2, 3] }],
    outputs: [{ name: output, dtype: undefined as unknown as 'float32', dims: undefined }],
    nodes: [makeNode({ name, opType: 'Cast', inputs: [input], outputs: [output], attributes: { to: int(to) } })]
  })
}

t.test('run: outputs of any numeric type', async (t) => {
  await writeNpy(file('six.npy'), floatTensor(new Float32Array([0, 3, 1, -2, 0, -5]), [2, 3]))
  const whole = [
    [3, 1, 0],
    [0, -2, -5]
  ]
  const types = { float32: 1, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10, float64: 11, bfloat16: 16 }
  for (const [name, to] of Object.entries(types)) {
    await writeOnnx({ ...cast(to), outputs: [{ name: 'y', dtype: name as 'float32', dims: [2, 3] }] }, file(`${name}.onnx`))
    const { code, stdout, stderr } = await polyadic('run', file(`${name}.onnx`), '--input', file('six.npy'), '--top', '3', '--json')
    t.equal(code, 0, `${name}: ${stderr}`)
    const values = JSON.parse(stdout).outputs[0].top.map((row: { value: number }[]) => row.map(({ value }) => value))
    t.same(
      values,
      name === 'bool'
        ? [
            [1, 1, 0],
            [1, 1, 0]
          ]
        : whole,
      name
    )
    if (name === 'bfloat16') continue
    const text = await polyadic('run', file(`${name}.onnx`), '--input', file('six.npy'), '-o', file('y.npy'), '--top', '1')
    t.equal(text.code, 0, text.stderr)
    t.match(text.stdout, /y: 2×3/)
    t.equal((await readNpy(file('y.npy'))).dtype, name)
  }
})

/** Gives the sum and the difference of its inputs. */
const twoEach: Graph = makeGraph({
  name: 'two',
  inputs: ['a', 'b'].map((name) => ({ name, dtype: 'float32', dims: ['N', 2] })),
  outputs: ['sum', 'difference'].map((name) => ({ name, dtype: 'float32', dims: ['N', 2] })),
  nodes: [
    makeNode({ name: 'add', opType: 'Add', inputs: ['a', 'b'], outputs: ['sum'] }),
    makeNode({ name: 'sub', opType: 'Sub', inputs: ['a', 'b'], outputs: ['difference'] })
  ]
})

t.test('run: all outputs by their names, inputs of one file', async (t) => {
  const two = file('two.onnx')
  await writeOnnx(twoEach, two)
  const [a, b] = [floatTensor(Float32Array.of(5, 7), [1, 2]), floatTensor(Float32Array.of(2, 3), [1, 2])]
  await writeNpz(file('both.npz'), { a, b, other: a })
  const { code, stderr, stdout } = await polyadic('run', two, '--input', file('both.npz'), '-o', file('out.npz'))
  t.equal(code, 0, stderr)
  t.match(stdout, /sum: 1×2\n\ndifference: 1×2/)
  t.same(await readNpz(file('out.npz')), {
    sum: floatTensor(Float32Array.of(7, 10), [1, 2]),
    difference: floatTensor(Float32Array.of(3, 4), [1, 2])
  })
  const one = await polyadic('run', two, '--input', file('both.npz'), '-o', file('out.npy'))
  t.equal(one.code, 2)
  t.match(one.stderr, /2 outputs \("sum", "difference"\): give a file name that ends in \.npz/)
  await writeNpz(file('one.npz'), { anything: floatTensor(new Float32Array(64), [1, 1, 8, 8]) })
  for (const input of [file('one.npz'), `image=${file('one.npz')}`])
    t.equal((await polyadic('run', file('model.onnx'), '--input', input, '-o', file('out.npy'))).code, 0, input)
  await writeNpz(file('strange.npz'), { c: a, d: b })
  const strange = await polyadic('run', two, '--input', file('strange.npz'))
  t.equal(strange.code, 2)
  t.match(strange.stderr, /strange\.npz" holds "c", "d", expected an array for "a", "b"/)
})

t.test('run: doubles are what NumPy makes, and are converted', async (t) => {
  await writeNpy(file('doubles.npy'), { dtype: 'float64', dims: [1, 1, 8, 8], data: new Float64Array(64) })
  const { code, stderr, stdout } = await polyadic('run', file('model.onnx'), '--input', file('doubles.npy'))
  t.equal(code, 0, stderr)
  t.match(stderr, /doubles\.npy": float64, converted to float32\n/)
  t.match(stdout, /probabilities: 1×4/)
})

/** Refused at once, as a mistake in the command line, and nothing is touched. */
async function isRefused(t: Test, args: readonly string[], message: RegExp, victim: string): Promise<void> {
  const before = await readFile(victim)
  const run = await polyadic(...args)
  t.equal(run.code, 2, run.stderr)
  t.match(run.stderr, message)
  t.ok(before.equals(await readFile(victim)), 'untouched')
}

t.test('an output is no input and no other output', async (t) => {
  const model = file('model.onnx')
  await symlink(model, file('link.onnx'))
  await link(model, file('hard'))
  const compress = ['compress', model, '--rank', 'conv2=2', '-o']
  await isRefused(t, [...compress, model], /--output: expected a file of its own, got .*, which is also an input/, model)
  await isRefused(t, [...compress, file('link.onnx')], /also an input/, model)
  await isRefused(t, [...compress, file('new.onnx'), '--report', file('new.onnx')], /--report.*also --output/, model)
  await isRefused(t, ['run', model, '--input', `image=${file('x.npy')}`, '-o', file('x.npy')], /also an input/, file('x.npy'))
  await isRefused(
    t,
    ['bench', model, '--json', file('other.onnx')],
    /--json: expected the file to write the figures to/,
    file('other.onnx')
  )
  await isRefused(t, ['bench', model, '--json', file('hard')], /--json.*also an input/, model)
  const twice = await polyadic(...compress, '/dev/null', '--report', '/dev/null', '--when-slower', 'replace')
  t.equal(twice.code, 0, twice.stderr)
})

t.test('nothing in a network reaches the terminal as a command', async (t) => {
  const hostile = (name: string): string => `${name}\u001b]0;owned\u0007\u001b[2J\u009b1m\u202e`
  const names = [hostile('in'), hostile('out'), hostile('node')] as const
  const clean = (t: Test, { stdout, stderr }: Run, what: string): void => void t.notMatch(stdout + stderr, /[^\P{C}\n]/u, what)
  const evil = file('evil.onnx')
  await writeOnnx({ ...cast(1, ...names), outputs: [{ name: names[1], dtype: 'float32', dims: [2, 3] }] }, evil)
  const custom = makeNode({ name: hostile('n'), opType: hostile('Op'), domain: hostile('d'), inputs: ['x'], outputs: ['y'] })
  await writeOnnx(
    {
      ...cast(1),
      nodes: [custom],
      opsets: new Map([
        ['', 17],
        [hostile('d'), 1]
      ])
    },
    file('unknown.onnx')
  )
  const runs: readonly (readonly string[])[] = [
    ['inspect', evil],
    ['inspect', evil, '--json'],
    ['inspect', file('unknown.onnx')],
    ['run', evil, '--input', file('six.npy')],
    ['run', evil, '--input', file('six.npy'), '--json'],
    ['run', evil, '--input', `${hostile('other')}=${file('six.npy')}`],
    ['run', evil, '--input', file('x.npy')],
    ['inspect', evil, '--shape', `${hostile('other')}=1x2`],
    ['bench', evil, '--shape', `${hostile('other')}=1x2`],
    ['compress', evil, '--rank', `${hostile('other')}=1`, '-o', file('o.onnx')],
    [hostile('command')],
    ['inspect', hostile('file')]
  ]
  for (const args of runs) clean(t, await polyadic(...args), args.map((arg) => JSON.stringify(arg)).join(' '))
  const json = JSON.parse((await polyadic('inspect', evil, '--json')).stdout)
  t.equal(json.inputs[0].name, names[0], 'the same to a program')
})

t.test('a standard output that cannot be written', { skip: process.platform !== 'linux' }, async (t) => {
  const full = await open('/dev/full', 'w')
  t.teardown(() => full.close())
  const child = spawn(process.execPath, [main, 'inspect', file('model.onnx')], { stdio: ['ignore', full.fd, 'pipe'] })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [code] = await once(child, 'close')
  t.equal(code, 1)
  t.match(stderr, /^polyadic: standard output cannot be written: [^\n]*ENOSPC[^\n]*\n$/)
})
