import { existsSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import vm from 'node:vm'
import t from 'tap'
import * as polyadic from '../lib/index.js'
import { PolyadicError } from '../lib/errors.js'
import { NetworkBuilder } from './helpers/network-builder.js'

// Every function that users call, with what is not meant for it: an error of ours that names the argument, never a TypeError.

const folder = t.testdir({ file: '', images: {} })
const file = (name: string): string => path.join(folder, name)

const b = new NetworkBuilder()
const graph = b.graph(b.node('MatMul', [b.input(['n', 2], 'x'), b.weight(2, 2)]))
const [{ name: layer }] = graph.nodes as [polyadic.Node]
const tensor = polyadic.floatTensor(Float32Array.of(1, 2), [1, 2])
const train = { images: new Float32Array(8), labels: new Int32Array(4), count: 4 }
const tune = { train, epochs: 1, batchSize: 2, threads: 1 }
const solving = { layers: { [layer]: 1 }, whenSlower: 'replace' } as const

/** An argument: its name in errors, a good value, and what else is one. */
interface Parameter {
  readonly name: string
  readonly good: unknown
  readonly accepts: readonly string[]
}

function parameter(name: string, good: unknown, ...accepts: readonly string[]): Parameter {
  return { name, good, accepts }
}

const options = (good: object = {}, required = false): Parameter => parameter('options', good, 'object', ...(required ? [] : ['undefined']))
const network = parameter('graph', graph)
const path1 = (name: string): Parameter => parameter('path', file(name), 'string')
const bytes = (good: Uint8Array): Parameter => parameter('bytes', good)
const label = parameter('name', 'a name', 'string', 'undefined')

/** Every function of lib/index.ts, and the methods of what they give. */
const functions: Readonly<Record<string, readonly Parameter[]>> = {
  floatTensor: [parameter('data', Float32Array.of(1, 2)), parameter('dims', [2])],
  int64Tensor: [parameter('values', [1, 2]), parameter('dims', [2], 'undefined')],
  makeGraph: [parameter('parts', { inputs: [], outputs: [], nodes: [] })],
  makeNode: [parameter('parts', { opType: 'Relu', inputs: ['x'], outputs: ['y'] })],
  int: [parameter('value', 1, 'number')],
  float: [parameter('value', 0.5, 'number')],
  decodeOnnx: [bytes(polyadic.encodeOnnx(graph))],
  readOnnx: [parameter('source', polyadic.encodeOnnx(graph), 'string'), options()],
  encodeOnnx: [network],
  writeOnnx: [network, path1('a.onnx'), options()],
  cost: [network, parameter('inputShapes', {}, 'object', 'undefined')],
  reconstruct: [parameter('factors', [{ data: new Float32Array(2), dims: [2, 1] }])],
  cpd: [parameter('tensor', { dtype: 'float32', dims: [2, 2], data: Float32Array.of(1, 2, 3, 4) }), options({ rank: 1 }, true)],
  compress: [network, options(solving, true)],
  halfWeights: [network, parameter('type', 'float16')],
  compressibleLayers: [parameter('model', graph)],
  evaluate: [network, parameter('batches', train), options()],
  fineTune: [network, options(tune, true)],
  compressLayerByLayer: [network, options({ compress: solving, tune }, true)],
  initialise: [network, options()],
  setIsa: [parameter('name', undefined, 'string')],
  imageFolder: [parameter('folder', file('images'), 'string'), options({ shape: [1, 2, 2] }, true)],
  readDataset: [parameter('folder', file('images'), 'string'), options()],
  decodeNpy: [bytes(polyadic.encodeNpy(tensor)), label],
  encodeNpy: [parameter('tensor', tensor)],
  readNpy: [path1('file'), options()],
  writeNpy: [path1('a.npy'), parameter('tensor', tensor), options()],
  decodeNpz: [bytes(polyadic.encodeNpz({ tensor })), label],
  encodeNpz: [parameter('arrays', { tensor }, 'object')],
  readNpz: [path1('file'), options()],
  writeNpz: [path1('a.npz'), parameter('arrays', { tensor }, 'object'), options()],
  'Session.create': [parameter('model', graph), options()],
  'session.run': [parameter('feeds', tensor, 'object'), options()],
  'session.runSync': [parameter('feeds', tensor, 'object'), options()],
  'session.describe': [parameter('inputShapes', {}, 'object', 'undefined'), parameter('inputValues', {}, 'object', 'undefined')]
}

/** They take nothing, or are no functions. */
const others = ['PolyadicError', 'Session', 'cpu', 'defaultThreads']

const junk: readonly (readonly [kind: string, value: unknown])[] = [
  ['undefined', undefined],
  ['null', null],
  ['number', 3],
  ['string', ''],
  ['boolean', true],
  ['bigint', 3n],
  ['symbol', Symbol('junk')],
  ['function', () => 1],
  ['object', {}],
  ['array', [null]],
  ['map', new Map()],
  ['date', new Date()]
]

const session = await polyadic.Session.create(graph)
t.teardown(() => session.close())

function call(name: string, args: readonly unknown[]): unknown {
  const [first = '', method = ''] = name.split('.')
  const target: unknown = first === 'session' ? session : first === 'Session' ? polyadic.Session : polyadic
  const f = (target as Record<string, (...args: readonly unknown[]) => unknown>)[method || first]
  return f?.apply(target, [...args])
}

/** What became of a call: an error, or nothing. */
async function errorOf(name: string, args: readonly unknown[]): Promise<unknown> {
  try {
    await call(name, args)
    return undefined
  } catch (error) {
    return error
  }
}

t.test('every export is in the table', async (t) => {
  const known = new Set([...Object.keys(functions), ...others])
  t.strictSame(
    Object.keys(polyadic).filter((name) => !known.has(name)),
    []
  )
})

for (const [name, parameters] of Object.entries(functions)) {
  t.test(`${name} names the argument that is wrong`, async (t) => {
    for (const [place, { name: argument, accepts }] of parameters.entries()) {
      for (const [kind, value] of junk) {
        const args = parameters.map(({ good }, i) => (i === place ? value : good))
        const error = await errorOf(name, args)
        const what = `${argument}: ${kind}`
        if (!accepts.includes(kind)) {
          t.ok(error instanceof PolyadicError, `${what} is refused, with ${String(error)}`)
          t.match((error as PolyadicError).subject ?? '', new RegExp(`^${kind === 'array' || kind === 'object' ? '' : argument}`), what)
        } else t.ok(error === undefined || error instanceof PolyadicError, `${what}: ${String(error)}`)
      }
    }
  })
}

t.test('an option that there is not is named, with the one that may be meant', async (t) => {
  const kernel = functions.cpd?.[0]?.good
  const cases: readonly (readonly [name: string, args: readonly unknown[], subject: string, hint: string])[] = [
    ['Session.create', [graph, { thread: 2 }], 'thread', 'options: there is no "thread"; did you mean "threads"?'],
    ['session.run', [tensor, { output: {} }], 'output', '"outputs"?'],
    ['session.runSync', [tensor, { signal: undefined, ouptuts: {} }], 'ouptuts', '"outputs"?'],
    ['cpd', [kernel, { rank: 1, metod: 'als' }], 'metod', '"method"?'],
    ['compress', [graph, { ...solving, methd: 'als' }], 'methd', '"method"?'],
    ['compress', [graph, { layers: { [layer]: { rank: 1, maxIteration: 2 } } }], `layers["${layer}"].maxIteration`, '"maxIterations"?'],
    ['compress', [graph, { ...solving, calibration: { inputs: {}, patch: 2 } }], 'calibration.patch', '"patches"?'],
    ['fineTune', [graph, { ...tune, epoch: 3 }], 'epoch', '"epochs"?'],
    ['fineTune', [graph, { ...tune, learning_rate: 3 }], 'learning_rate', '"learningRate"?'],
    ['fineTune', [graph, { ...tune, lr: 0.1 }], 'lr', 'there are train, validation, epochs'],
    ['fineTune', [graph, { ...tune, checkpoint: { path: 'x', every: 3 } }], 'checkpoint.every', '"everySteps"?'],
    ['fineTune', [graph, { ...tune, schedule: { factr: 1 } }], 'schedule.factr', '"factor"?'],
    ['fineTune', [graph, { ...tune, groups: [{ match: [], learningrate: 1 }] }], 'groups.learningrate', '"learningRate"?'],
    ['fineTune', [graph, { ...tune, distillation: { teacher: graph, temprature: 1 } }], 'distillation.temprature', '"temperature"?'],
    [
      'fineTune',
      [graph, { ...tune, distillation: { teacher: graph, features: [{ teacher: 'x', wieght: 1 }] } }],
      'distillation.features.wieght',
      '"weight"?'
    ],
    ['compressLayerByLayer', [graph, { compress: solving, tune, onlayer: () => {} }], 'onlayer', '"onLayer"?'],
    ['compressLayerByLayer', [graph, { compress: { ...solving, sed: 1 }, tune }], 'compress.sed', '"seed"?'],
    ['compressLayerByLayer', [graph, { compress: solving, tune: { ...tune, bacthSize: 1 } }], 'tune.bacthSize', '"batchSize"?'],
    ['evaluate', [graph, train, { threds: 1 }], 'threds', '"threads"?'],
    ['initialise', [graph, { sead: 1 }], 'sead', '"seed"?'],
    ['imageFolder', [file('images'), { shape: [1, 2, 2], maen: 1 }], 'maen', '"mean"?'],
    ['readOnnx', [new Uint8Array(), { sginal: 1 }], 'sginal', '"signal"?'],
    ['writeOnnx', [graph, file('b.onnx'), { external: 'always' }], 'external', '"externalData"?'],
    ['readNpy', [file('file'), { mmap: true }], 'mmap', 'there are signal'],
    ['makeNode', [{ opType: 'Relu', inputs: ['x'], outputs: ['y'], attribute: {} }], 'parts.attribute', '"attributes"?'],
    ['makeGraph', [{ inputs: [], outputs: [], nodes: [], opsets: new Map([['', 13]]) }], 'parts.opsets', '"opset"?']
  ]
  for (const [name, args, subject, hint] of cases) {
    const error = await errorOf(name, args)
    t.match(error, { code: 'POLYADIC_ARGUMENT', subject }, `${name}: ${String(error)}`)
    t.ok(String(error).includes(hint), `${String(error)} says ${hint}`)
  }
  t.equal(await errorOf('fineTune', [graph, { ...tune, epoch: undefined }]), undefined, 'what is undefined is not given')
})

t.test('paths may be file: URLs, and no others', async (t) => {
  const url = (name: string): URL => pathToFileURL(file(name))
  await polyadic.writeOnnx(graph, url('url.onnx'))
  t.match(await polyadic.readOnnx(url('url.onnx')), { name: graph.name })
  await polyadic.writeNpy(url('url.npy'), tensor)
  t.strictSame((await polyadic.readNpy(url('url.npy'))).data, tensor.data)
  await polyadic.writeNpz(url('url.npz'), { tensor })
  t.strictSame(Object.keys(await polyadic.readNpz(url('url.npz'))), ['tensor'])
  t.match(await errorOf('readDataset', [url('none')]), { code: 'POLYADIC_IO', message: /none/ })
  t.match(await errorOf('imageFolder', [url('none'), { shape: [1, 2, 2] }]), { code: 'POLYADIC_IO', message: /none/ })
  t.match(await errorOf('readOnnx', [new URL('https://example.org/a.onnx')]), {
    code: 'POLYADIC_ARGUMENT',
    subject: 'source',
    message: /file: URL/
  })
  for (const href of ['file://host/x.npy', 'file:///tmp/a%2Fx.npy'])
    t.match(await errorOf('readNpy', [new URL(href)]), { code: 'POLYADIC_ARGUMENT', subject: 'path' }, href)
  const foreign = { href: url('url.npy').href, protocol: 'file:', hostname: '', pathname: url('url.npy').pathname }
  t.strictSame((await polyadic.readNpy(foreign as URL)).data, tensor.data, 'one of another realm')
  const checkpoint = { path: url('checkpoint'), resume: true }
  await polyadic.fineTune(graph, { ...tune, checkpoint })
  t.equal((await polyadic.fineTune(graph, { ...tune, epochs: 2, checkpoint })).resumedFrom, 2)
  await polyadic.compressLayerByLayer(graph, { compress: solving, tune: { ...tune, checkpoint } })
  t.ok(existsSync(file('checkpoint.1')))
})

t.test('objects with fields may be of any class and realm; collections are none', async (t) => {
  class Tensor {
    readonly dtype = 'float32'
    readonly dims = [1, 2]
    readonly data = Float32Array.of(1, 2)
    get [Symbol.toStringTag](): string {
      return 'Tensor'
    }
  }
  t.equal(await errorOf('session.run', [new Tensor()]), undefined)
  t.equal(await errorOf('session.run', [{ x: new Tensor() }]), undefined)
  t.equal(await errorOf('session.run', [tensor, vm.runInNewContext('({})')]), undefined)
  const { signal } = new AbortController()
  for (const other of [
    '[]',
    'new Map()',
    'new Set()',
    'new Date()',
    'Promise.resolve()',
    'new ArrayBuffer(1)',
    'new DataView(new ArrayBuffer(1))'
  ])
    t.match(await errorOf('session.run', [tensor, vm.runInNewContext(other)]), { code: 'POLYADIC_ARGUMENT', subject: 'options' }, other)
  t.match(await errorOf('session.run', [tensor, signal]), { code: 'POLYADIC_ARGUMENT', subject: 'options' }, 'a signal is no options')
})

t.test('values alone are no tensor', async (t) => {
  for (const data of [new Float32Array(2), [1, 2], {}]) {
    const error = await errorOf('session.run', [{ x: data }])
    t.match(error, { code: 'POLYADIC_ARGUMENT', message: /input "x": expected a tensor \{ dtype, dims, data \}/ }, String(error))
  }
})

t.test('what stands in options, networks, nodes and tensors', async (t) => {
  const relu = { opType: 'Relu', inputs: ['x'], outputs: ['y'] }
  const cases: readonly (readonly [name: string, args: readonly unknown[], subject: RegExp])[] = [
    ...[
      'cpd',
      'compress',
      'fineTune',
      'compressLayerByLayer',
      'evaluate',
      'readOnnx',
      'writeOnnx',
      'Session.create',
      'session.run'
    ].flatMap((name) => {
      const parameters = functions[name] as readonly Parameter[]
      const withSignal = parameters.map(({ name, good }) => (name === 'options' ? { ...(good as object), signal: {} } : good))
      return [[name, withSignal, /^signal$/] as const]
    }),
    ['cpd', [functions.cpd?.[0]?.good, { rank: 1, onProgress: 1 }], /^onProgress$/],
    ['compress', [graph, { ...solving, onProgress: 'x' }], /^onProgress$/],
    ['fineTune', [graph, { ...tune, onProgress: null }], /^onProgress$/],
    ['fineTune', [graph, { ...tune, train: () => 1 }], /^train/],
    ...(
      [
        ['validation', null],
        ['momentum', null],
        ['nesterov', 1],
        ['betas', 0.9],
        ['groups', [null]],
        ['schedule', null],
        ['checkpoint', null],
        ['checkpoint', {}],
        ['checkpoint', { path: 'x', resume: 'yes' }],
        ['distillation', null],
        ['distillation', { teacher: {} }],
        ['distillation', { teacher: graph, features: [null] }]
      ] as const
    ).map(([name, value]) => ['fineTune', [graph, { ...tune, [name]: value }], new RegExp(`^${name}`)] as const),
    ['compressLayerByLayer', [graph, { compress: null, tune }], /^compress$/],
    ['compressLayerByLayer', [graph, { compress: solving, tune: 1 }], /^tune$/],
    ['compressLayerByLayer', [graph, { compress: { ...solving, signal: 1 }, tune }], /^compress.signal$/],
    ['compressLayerByLayer', [graph, { compress: solving, tune, onLayer: 1 }], /^onLayer$/],
    ['imageFolder', [file('images'), { shape: [1, 2, 2], decode: 1 }], /^decode$/],
    ['int64Tensor', [[1.5]], /^values\[0\]$/],
    ['int64Tensor', [[1, 2], [3]], /^values$/],
    ['floatTensor', [Float32Array.of(1), [2]], /^data$/],
    ['int', [0.5], /^value$/],
    ['float', ['1'], /^value$/],
    ['makeNode', [{}], /^parts.opType$/],
    ['makeNode', [{ ...relu, inputs: [1] }], /^parts.inputs\[0\]$/],
    ['makeNode', [{ ...relu, outputs: 'y' }], /^parts.outputs$/],
    ['makeNode', [{ ...relu, attributes: { group: 1 } }], /^parts.attributes.group$/],
    ['makeNode', [{ ...relu, attributes: { group: [0.5] } }], /^parts.attributes.group\[0\]$/],
    ['makeGraph', [{}], /^parts.inputs$/],
    ['makeGraph', [{ inputs: [], outputs: [], nodes: [relu] }], /^parts.nodes\[0\]$/],
    ['makeGraph', [{ inputs: ['x'], outputs: [], nodes: [] }], /^parts.inputs\[0\]$/],
    ['makeGraph', [{ inputs: [], outputs: [], nodes: [], initializers: {} }], /^parts.initializers$/],
    ['makeGraph', [{ inputs: [], outputs: [], nodes: [], opset: '17' }], /^parts.opset$/],
    ['encodeOnnx', [{ ...graph, initializers: new Map([['w', null]]) }], /^graph.initializers: "w"$/],
    ['encodeNpz', [{ a: 1 }], /^arrays.a$/],
    ['session.describe', [{}, null], /^inputValues$/],
    ['cost', [graph, { x: 1 }], /^shape of input "x"$/]
  ]
  for (const [name, args, subject] of cases) {
    const error = await errorOf(name, args)
    t.ok(error instanceof PolyadicError, `${name} ${subject.source}: ${String(error)}`)
    t.match((error as PolyadicError).subject ?? '', subject, name)
  }
})
