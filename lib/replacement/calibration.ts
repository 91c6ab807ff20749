import { checkNames, checkRecord, type Names } from '../arguments.js'
import { PolyadicError, argumentError, checkInteger, show } from '../errors.js'
import type { Graph, ValueInfo } from '../graph/graph.js'
import { native } from '../native/binding.js'
import { runJob } from '../native/jobs.js'
import { outputExtent } from '../operators/conv-spec.js'
import { checkFit } from '../operators/infer.js'
import { windowOf } from '../operators/window.js'
import { Session } from '../runtime/session.js'
import { arrayType, checkTensor, elementCount, type FloatTensor, type Tensor } from '../tensor.js'
import type { Layer } from './layer.js'

/** Inputs of the network by name, as `Session.run` takes them. */
export type CalibrationFeeds = Readonly<Record<string, Tensor>>

/**
 * Unlabelled inputs, from which the second moments of the chosen layers' input patches are gathered. One record, which is
 * run in slices of its first axis (of the network's own batch, where that is fixed), or a stream of records, each run as it comes.
 */
export interface Calibration {
  readonly inputs: CalibrationFeeds | Iterable<CalibrationFeeds> | AsyncIterable<CalibrationFeeds>
  /** Patches a layer at most; each batch gives its share of positions, chosen by `seed`. Default 4096. */
  readonly patches?: number
  /** Default 0. */
  readonly seed?: number
}

const optionNames: Names<Calibration> = { inputs: true, patches: true, seed: true }

const defaults = { patches: 4096, seed: 0 } as const
const slice = 32 // examples run at once of a single record
const perImage = 16 // positions of one image at most: neighbours tell little news

/** Second moments by layer (node) name: one D×D matrix a group, D = Cin/groups·Π kernel. */
export type Moments = ReadonlyMap<string, readonly Float64Array[]>

/** Throws POLYADIC_ARGUMENT unless `calibration` has inputs and sensible numbers. */
export function checkCalibration(calibration: Calibration): Required<Calibration> {
  if (typeof calibration !== 'object' || calibration === null || typeof calibration.inputs !== 'object' || calibration.inputs === null)
    throw argumentError('calibration', 'an object with inputs', calibration)
  checkNames('calibration', calibration, optionNames)
  const { inputs } = calibration
  if (!isStream(inputs)) checkFeeds(inputs)
  return {
    inputs,
    patches: checkInteger('calibration.patches', calibration.patches ?? defaults.patches, 1),
    seed: checkInteger('calibration.seed', calibration.seed ?? defaults.seed, 0, 0xffffffff)
  }
}

/**
 * Runs the network up to the inputs of `layers`, batch by batch, and adds up the second moments of their patches in native
 * code. Memory: one batch and D² doubles a group of each layer. Rejects with `signal.reason` when aborted.
 */
export async function gatherMoments(
  graph: Graph,
  layers: readonly Layer[],
  calibration: Calibration,
  threads: number,
  signal: AbortSignal | undefined
): Promise<Moments> {
  const { inputs, patches, seed } = checkCalibration(calibration)
  const gatherers = layers.map((layer) => new Gatherer(layer, inputOf(graph, layer), patches, seed, threads))
  const wanted = [...new Set(layers.map((layer) => layer.node.inputs[0] as string))]
  const given = new Set(graph.inputs.map((input) => input.name))
  const inner = wanted.filter((name) => !given.has(name))
  const session = inner.length > 0 ? await Session.create(upTo(graph, inner), { threads }) : undefined
  try {
    for await (const { feeds, part } of batches(inputs, session && fixedBatch(session))) {
      signal?.throwIfAborted()
      const values = session ? await session.run(neededFeeds(session, feeds), signal ? { signal } : {}) : {}
      for (const gatherer of gatherers) await gatherer.add({ ...feeds, ...values }, part, signal)
    }
  } finally {
    session?.close()
  }
  return new Map(gatherers.map((gatherer) => [gatherer.layer.node.name, gatherer.result()]))
}

/** What a layer reads, of any batch: as many axes and channels as its kernel has, of the extents that the graph says of an input of its own. */
function inputOf(graph: Graph, { node, inputsPerGroup, spec }: Layer): ValueInfo {
  const name = node.inputs[0] as string
  const spatial = graph.inputs.find((input) => input.name === name)?.dims?.slice(2)
  return { name, dtype: 'float32', dims: [null, inputsPerGroup * spec.groups, ...spec.kernel.map((_, axis) => spatial?.[axis] ?? null)] }
}

function neededFeeds(session: Session, feeds: CalibrationFeeds): CalibrationFeeds {
  const names = new Set(session.inputs.map((input) => input.name))
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => names.has(name)))
}

// The part of the graph that makes the values `names`, with them as outputs.
function upTo(graph: Graph, names: readonly string[]): Graph {
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)))
  const needed = new Set<(typeof graph.nodes)[number]>()
  const open = [...names]
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = makers.get(name)
    if (node === undefined || needed.has(node)) continue
    needed.add(node)
    open.push(...node.inputs)
  }
  const used = new Set([...needed].flatMap((node) => node.inputs))
  return {
    ...graph,
    nodes: graph.nodes.filter((node) => needed.has(node)),
    inputs: graph.inputs.filter((input) => used.has(input.name)),
    outputs: names.map((name) => ({ name, dtype: 'float32' as const, dims: undefined }))
  }
}

/** How many examples a run takes, where the network says so of all its inputs. */
function fixedBatch(session: Session): number | undefined {
  const [batch, ...others] = new Set(session.inputs.map(({ dims }) => dims?.[0]))
  return typeof batch === 'number' && batch > 0 && others.length === 0 ? batch : undefined
}

/** What is run at once. */
interface Run {
  readonly feeds: CalibrationFeeds
  /** How much of it counts; the examples after that fill up a batch that is fixed. */
  readonly part: number
}

function isStream(inputs: Calibration['inputs']): inputs is Iterable<CalibrationFeeds> | AsyncIterable<CalibrationFeeds> {
  return Symbol.iterator in inputs || Symbol.asyncIterator in inputs
}

/** Throws POLYADIC_ARGUMENT or POLYADIC_SHAPE unless a record is of tensors. */
function checkFeeds(feeds: unknown): void {
  checkRecord('calibration.inputs', feeds, 'tensors by input name')
  for (const [name, tensor] of Object.entries(feeds)) checkTensor(`calibration.inputs: ${show(name)}`, tensor)
}

async function* batches(inputs: Calibration['inputs'], fixed: number | undefined): AsyncGenerator<Run> {
  if (isStream(inputs)) {
    for await (const feeds of inputs) {
      checkFeeds(feeds)
      yield { feeds, part: 1 }
    }
    return
  }
  const entries = Object.entries(inputs)
  const count = entries[0]?.[1].dims[0] ?? 1
  if (entries.some(([, tensor]) => tensor.dims[0] !== count)) {
    yield { feeds: inputs, part: 1 }
    return
  }
  for (let begin = 0; begin < count; begin += fixed ?? slice) {
    const end = Math.min(count, begin + (fixed ?? slice))
    const filled = fixed ?? end - begin
    const feeds = Object.fromEntries(entries.map(([name, tensor]) => [name, examples(tensor, begin, end, filled)]))
    yield { feeds, part: (end - begin) / filled }
  }
}

/** `filled` examples: those from `begin` to `end`, and copies of the last where that is not enough. */
function examples(tensor: Tensor, begin: number, end: number, filled: number): Tensor {
  const { dtype, dims, data } = tensor
  const size = elementCount(dims.slice(1))
  const some = data.slice(begin * size, end * size)
  if (filled === end - begin) return { dtype, dims: [filled, ...dims.slice(1)], data: some }
  const whole = new (arrayType(dtype))(filled * size)
  for (let at = 0; at < filled; at++)
    whole.set(data.subarray(Math.min(begin + at, end - 1) * size, (Math.min(begin + at, end - 1) + 1) * size) as never, at * size)
  return { dtype, dims: [filled, ...dims.slice(1)], data: whole }
}

/** Adds up one layer's moments. */
class Gatherer {
  readonly layer: Layer
  readonly #input: ValueInfo
  readonly #moments: readonly Float64Array[]
  readonly #threads: number
  readonly #patches: number
  #left: number
  #random: number

  constructor(layer: Layer, input: ValueInfo, patches: number, seed: number, threads: number) {
    this.layer = layer
    this.#input = input
    const size = layer.inputsPerGroup * elementCount(layer.spec.kernel)
    this.#moments = Array.from({ length: layer.spec.groups }, () => new Float64Array(size * size))
    this.#threads = threads
    this.#patches = patches
    this.#left = patches
    this.#random = seed >>> 0
  }

  /** Of the first `part` of a batch. */
  async add(values: Readonly<Record<string, Tensor>>, part: number, signal: AbortSignal | undefined): Promise<void> {
    const { node } = this.layer
    const { name } = this.#input
    const input = values[name] as FloatTensor | undefined
    if (input === undefined)
      throw new PolyadicError('POLYADIC_ARGUMENT', `calibration.inputs: there is no ${show(name)}`, { subject: name })
    if (input.dtype !== 'float32')
      throw new PolyadicError('POLYADIC_SHAPE', `calibration.inputs: ${show(name)} is ${input.dtype}, expected float32`, { subject: name })
    const spatial = checkFit(this.#input, input.dims).slice(2)
    const spec = windowOf({ node }, this.layer.spec.kernel, this.layer.spec.groups, spatial)
    const extents = spatial.map((extent, axis) => outputExtent(spec, axis, extent))
    if (extents.some((extent) => extent < 1))
      throw new PolyadicError(
        'POLYADIC_SHAPE',
        `calibration.inputs: ${show(name)} is ${input.dims.join('×')}, which the kernel of layer ${show(node.name)} does not fit into`,
        { subject: name }
      )
    const positions = this.#choose(Math.round(part * (input.dims[0] as number)), extents)
    if (positions.length === 0) return
    const { kernel, strides, dilations, groups, padsBegin: pads } = spec
    const geometry = { kernel, strides, pads, dilations, groups, positions }
    await runJob(
      () => native().patchMoments({ input: input.data, dims: input.dims, ...geometry, moments: this.#moments, threads: this.#threads }),
      signal
    )
  }

  /** The sums over the number of patches. Throws POLYADIC_ARGUMENT when there was none. */
  result(): readonly Float64Array[] {
    const count = this.#patches - this.#left
    if (count === 0)
      throw new PolyadicError('POLYADIC_ARGUMENT', 'calibration.inputs: expected at least one example', { subject: 'calibration' })
    for (const matrix of this.#moments) for (let i = 0; i < matrix.length; i++) matrix[i] = (matrix[i] as number) / count
    return this.#moments
  }

  // Distinct positions of every image's output, row-major, up to what is left.
  #choose(images: number, extents: readonly number[]): number[] {
    const all = elementCount(extents)
    const positions: number[] = []
    for (let image = 0; image < images && this.#left > 0; image++) {
      const count = Math.min(all, perImage, this.#left)
      const start = this.#next(all)
      for (let i = 0; i < count; i++) {
        // Spread evenly from a random start.
        let index = (start + Math.floor((i * all) / count)) % all
        const position = extents.map(() => 0)
        for (let axis = extents.length - 1; axis >= 0; axis--) {
          position[axis] = index % (extents[axis] as number)
          index = Math.floor(index / (extents[axis] as number))
        }
        positions.push(image, ...position)
      }
      this.#left -= count
    }
    return positions
  }

  #next(below: number): number {
    this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0
    return Math.floor((this.#random / 2 ** 32) * below)
  }
}
