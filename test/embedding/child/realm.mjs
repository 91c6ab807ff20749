// Run with --experimental-vm-modules. The package's modules evaluated in a vm context, as jest does: the addon, Node's modules and
// native errors are of another realm than the package's own globals.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import vm from 'node:vm'

const context = vm.createContext({
  process,
  console,
  setImmediate,
  performance,
  AbortController,
  AbortSignal,
  URL,
  TextDecoder,
  TextEncoder,
  Buffer
})
const modules = new Map()

async function builtin(name) {
  const namespace = await import(name)
  const names = Object.keys(namespace)
  return new vm.SyntheticModule(
    names,
    function () {
      for (const key of names) this.setExport(key, namespace[key])
    },
    { context, identifier: name }
  )
}

function source(url) {
  return new vm.SourceTextModule(readFileSync(fileURLToPath(url), 'utf8'), {
    context,
    identifier: url,
    initializeImportMeta: (meta) => Object.assign(meta, { url })
  })
}

async function link(specifier, { identifier }) {
  const url = specifier.startsWith('node:') ? specifier : new URL(specifier, identifier).href
  if (!modules.has(url)) modules.set(url, url.startsWith('node:') ? builtin(url) : Promise.resolve(source(url)))
  return modules.get(url)
}

const test = new vm.SourceTextModule(
  `import { cpd, floatTensor, makeGraph, makeNode, PolyadicError, Session } from './dist/lib/index.js'
const graph = makeGraph({
  inputs: [{ name: 'x', dtype: 'float32', dims: ['N', 4] }],
  outputs: [{ name: 'y', dtype: 'float32', dims: ['N', 4] }],
  nodes: [makeNode({ opType: 'Relu', inputs: ['x'], outputs: ['y'] })]
})
const session = await Session.create(graph)
const { y } = await session.run({ x: floatTensor(Float32Array.of(1, -2, 3, -4), [1, 4]) })
export const output = y.data
export const own = y.data instanceof Float32Array
export const outer = (await session.run({ x: { dtype: 'float32', dims: [1, 4], data: globalThis.process.outerArray } })).y.data
let error
try { await cpd(floatTensor(new Float32Array(8), [2, 2, 2]), { rank: 2, init: 'given', factors: [] }) } catch (e) { error = e }
export const typed = error instanceof PolyadicError
const controller = new AbortController()
const job = cpd(floatTensor(Float32Array.from({ length: 64 * 64 * 64 }, (_, i) => Math.sin(i * i)), [64, 64, 64]), { rank: 40, maxIterations: 1e6, tolerance: 0, signal: controller.signal })
setImmediate(() => controller.abort(new Error('enough')))
export const aborted = await job.catch((e) => e.message)
const { threads } = session.describe()
export const closed = (session.close(), await session.run({ x: floatTensor(new Float32Array(4), [1, 4]) }).catch((e) => e instanceof PolyadicError && e.code))
export const more = threads`,
  { context, identifier: new URL('../../../test.mjs', import.meta.url).href }
)
process.outerArray = Float32Array.of(-1, 2, -3, 4)
await test.link(link)
await test.evaluate()
const { output, own, outer, typed, aborted, closed } = test.namespace
assert.deepEqual(Array.from(output), [1, 0, 3, 0])
assert.deepEqual(Array.from(outer), [0, 2, 0, 4])
assert.equal(output instanceof Float32Array, false, 'it is another realm')
assert(own && typed)
assert.equal(aborted, 'enough')
assert.equal(closed, 'POLYADIC_ARGUMENT')
assert(pathToFileURL('/'))
console.log(JSON.stringify({ modules: modules.size }))
