import type { Random } from '../../helpers/plan-builder.js'
import { encodeTree, encodeVarint, joined, messagesOf, parseTree, type WireField } from '../../helpers/wire-tree.js'

/** Integers at the edges of what readers think of: signs, 2^31, 2^32, 2^53, 2^63, sizes whose product overflows. */
const numbers = [
  0,
  1,
  2,
  3,
  7,
  8,
  127,
  128,
  255,
  65536,
  1e6,
  2 ** 24,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 40,
  2 ** 53 - 1
].map(BigInt)
const extremes = [...numbers, -1n, -2n, -128n, 2n ** 53n + 1n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]

/** The corpus' only file of data, and names of files that must not be read in its place. */
const dataFile = 'weights.bin'
const paths = [
  '',
  '../secret.bin',
  'sub/../../secret.bin',
  '/etc/passwd',
  'C:\\secret.bin',
  '..\\secret.bin',
  'link.bin',
  './sub/../link.bin'
]

/** Names that must not exist, or mean something to somebody. */
const strings = [
  ...paths,
  dataFile,
  'x',
  'y',
  'ai.onnx',
  '__proto__',
  'constructor',
  '\0',
  '1e3',
  '18446744073709551616',
  '-1',
  'é\u{1f600}',
  'n'.repeat(300)
]

type Mutation = (bytes: Uint8Array, corpus: readonly Uint8Array[], random: Random) => Uint8Array

const pick = <T>(values: readonly T[], random: Random): T => values[random.integer(0, values.length - 1)] as T

/** One to three changes, to bytes as they are or to the message that they spell. */
export function mutate(source: Uint8Array, corpus: readonly Uint8Array[], random: Random): Uint8Array {
  let bytes = source
  for (let changes = random.integer(1, 3); changes > 0; changes--) bytes = pick(mutations, random)(bytes, corpus, random)
  return bytes
}

function splice(bytes: Uint8Array, at: number, removed: number, inserted: Uint8Array = new Uint8Array()): Uint8Array {
  return joined([bytes.subarray(0, at), inserted, bytes.subarray(Math.min(bytes.length, at + removed))])
}

const byteMutations: readonly Mutation[] = [
  (bytes, _, random) => splice(bytes, random.integer(0, bytes.length), 1, Uint8Array.of(random.integer(0, 255))),
  (bytes, _, random) => {
    const at = random.integer(0, Math.max(0, bytes.length - 1))
    return splice(bytes, at, 1, Uint8Array.of((bytes[at] ?? 0) ^ (1 << random.integer(0, 7))))
  },
  (bytes, _, random) => splice(bytes, random.integer(0, bytes.length), random.integer(1, 16)),
  (bytes, _, random) =>
    splice(
      bytes,
      random.integer(0, bytes.length),
      0,
      Uint8Array.from({ length: random.integer(1, 16) }, () => random.integer(0, 255))
    ),
  (bytes, _, random) => splice(bytes, random.integer(0, bytes.length), 1, encodeVarint(pick(extremes, random))),
  (bytes, _, random) => bytes.subarray(0, random.integer(0, bytes.length)),
  (bytes, corpus, random) => {
    const other = pick(corpus, random)
    return joined([bytes.subarray(0, random.integer(0, bytes.length)), other.subarray(random.integer(0, other.length))])
  }
]

/** Changes the tree that the bytes spell; what is changed is one message anywhere in it. */
function onTree(change: (message: WireField[], all: WireField[][], random: Random) => void): Mutation {
  return (bytes, _, random) => {
    const tree = parseTree(bytes)
    if (tree === undefined || tree.length === 0) return bytes
    const all = messagesOf(tree).filter((message) => message.length > 0)
    change(pick(all, random), all, random)
    return encodeTree(tree)
  }
}

const treeMutations: readonly Mutation[] = [
  // Integers: types, dims, versions, lengths of external data.
  onTree((_, all, random) => {
    const integers = all.flat().filter((field) => field.wire === 0)
    if (integers.length > 0) pick(integers, random).value = pick(extremes, random)
  }),
  // Strings: names that meet others, cycles, paths.
  onTree((_, all, random) => {
    const texts = all.flat().filter((field) => field.wire === 2 && field.children === undefined && field.content.length < 200)
    if (texts.length > 0)
      pick(texts, random).content = random.next() < 0.5 ? pick(texts, random).content : Buffer.from(pick(strings, random))
  }),
  // Other files.
  onTree((_, all, random) => {
    const named = all.flat().filter(({ content }) => Buffer.from(content).toString('latin1') === dataFile)
    if (named.length > 0) Object.assign(pick(named, random), { children: undefined, content: Buffer.from(pick(paths, random)) })
  }),
  // Text that happens to look like a message is a string all the same.
  onTree((_, all, random) => {
    const field = pick(all.flat(), random)
    if (field.wire === 2) Object.assign(field, { children: undefined, content: Buffer.from(pick(strings, random)) })
  }),
  onTree((message, _, random) => void message.splice(random.integer(0, message.length - 1), 1)),
  onTree((message, _, random) => void message.splice(random.integer(0, message.length), 0, structuredClone(pick(message, random)))),
  onTree((message, _, random) => void message.reverse().sort(() => random.next() - 0.5)),
  // A field somewhere else: a graph in a tensor, a node in a node.
  onTree((message, all, random) => void message.splice(random.integer(0, message.length), 0, structuredClone(pick(all.flat(), random)))),
  onTree((message, _, random) => {
    pick(message, random).number = random.integer(1, 30)
  }),
  onTree((message, _, random) => {
    const field = pick(message, random)
    field.wire = pick([0, 1, 2, 3, 5, 7], random)
  }),
  // Many of one: long lists, many dims.
  onTree((message, _, random) => {
    const field = pick(message, random)
    const size = field.children === undefined ? field.content.length : encodeTree(field.children).length
    if (size < 300) message.push(...Array.from({ length: random.integer(2, 100) }, () => structuredClone(field)))
  })
]

const mutations: readonly Mutation[] = [...byteMutations, ...treeMutations, ...treeMutations]
