import path from 'node:path'
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
