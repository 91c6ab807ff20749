// What the documentation says about the solver besides its speed against others: each section measures one promise.
//   node dist/bench/solver.js SECTION --json FILE [--starts N]
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { createCharacters } from '../examples/charnet/dataset.js'
import { charnetFile } from '../examples/charnet/paths.js'
import { cpd, type CpdOptions, compress, evaluate, floatTensor, readOnnx } from '../lib/index.js'
import { native } from '../lib/native/binding.js'
import { cpdProblems, startOf, swamp } from './cpd-tensors.js'
import { benchReport, peakGflops } from './harness.js'

type Row = Readonly<Record<string, string | number>>

const kernels = cpdProblems.filter(({ name }) => /^(?:conv|detector|smooth)/.test(name))
const sections = { products, stability, chance, swamps, aware, abort } as const

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'string' }, starts: { type: 'string', default: '3' }, only: { type: 'string', default: '' } }
  })
  const [name = ''] = positionals
  if (!Object.hasOwn(sections, name)) throw new RangeError(`there is no section ${name}; there are: ${Object.keys(sections).join(', ')}`)
  const rows: Row[] = []
  for await (const row of sections[name as keyof typeof sections](Number(values.starts), values.only)) {
    rows.push(row)
    console.log(JSON.stringify(row))
  }
  const { machine, versions, commit } = benchReport([])
  if (values.json !== undefined)
    await writeFile(values.json, `${JSON.stringify({ machine, versions, commit, section: name, rows }, null, 2)}\n`)
}

/** The two matrix products of a gradient, of the float64 multiply-add peak that the same process measures in registers. */
async function* products(): AsyncGenerator<Row> {
  const { cpdTest } = native() as unknown as {
    cpdTest: { productSeconds(spec: { dims: readonly number[]; rank: number; threads: number; rounds: number }): number }
  }
  const peak = peakGflops('float64')
  for (const { name, rank, tensor } of kernels) {
    const { dims } = await tensor()
    const seconds = cpdTest.productSeconds({ dims, rank, threads: 1, rounds: 12 })
    const gflops = (4 * rank * dims.reduce((product, dim) => product * dim, 1)) / seconds / 1e9
    yield { name, gflops, peak, fraction: gflops / peak }
  }
}

/** Error and sensitivity of plain NLS, with the default ridge and a lighter one, with the correction, and of alternating least squares. */
async function* stability(starts: number, only: string): AsyncGenerator<Row> {
  const ways: Readonly<Record<string, Partial<CpdOptions>>> = {
    als: { method: 'als', ridge: 0, maxIterations: 500 },
    plain: { ridge: 0, maxIterations: 500 },
    ridge: {},
    light: { ridge: 3e-5 },
    epc: { ridge: 0, maxIterations: 500, correction: 'epc' }
  }
  for (const problem of kernels.filter(({ name }) => name.includes(only))) {
    const tensor = await problem.tensor()
    for (const [way, options] of Object.entries(ways)) {
      for (let seed = 0; seed < starts; seed++) {
        const { relativeError, sensitivity, congruence, componentNorm } = await cpd(tensor, { rank: problem.rank, seed, ...options })
        yield { name: problem.name, way, seed, relativeError, sensitivity, congruence, componentNorm }
      }
    }
  }
}

/** Accuracy of CharNet before any fine-tuning at a rank so low that the local minimum decides it, not its error. */
async function* chance(seeds: number): AsyncGenerator<Row> {
  const graph = await readOnnx(charnetFile)
  const test = await createCharacters({ split: 'test', count: 6000 })
  for (const method of ['nls', 'als'] as const) {
    for (let seed = 0; seed < seeds; seed++) {
      const result = await compress(graph, { layers: { conv2: 8 }, method, seed })
      const relativeError = result.layers[0]?.relativeError ?? Number.NaN
      yield { name: 'conv2 R=8', method, seed, relativeError, accuracy: (await evaluate(result.graph, test)).accuracy }
    }
  }
}

/** From how many of ten starts an exact tensor with collinear factors is found to 1e-6. */
async function* swamps(): AsyncGenerator<Row> {
  const shapes: readonly (readonly [readonly number[], number, number])[] = [
    [[40, 40, 40], 8, 0.95],
    [[30, 30, 30], 10, 0.9],
    [[20, 20, 20, 20], 8, 0.9],
    [[15, 15, 15, 15], 8, 0.97]
  ]
  for (const [dims, rank, cosine] of shapes) {
    const tensor = swamp(dims, rank, cosine)
    for (const method of ['nls', 'als'] as const) {
      let [reached, iterations] = [0, 0]
      for (let seed = 0; seed < 10; seed++) {
        const factors = startOf(tensor, rank, seed)
        const result = await cpd(tensor, { rank, method, factors, ridge: 0, tolerance: method === 'als' ? 0 : 1e-12, maxIterations: 1000 })
        if (result.relativeError < 1e-6) reached++
        iterations += result.iterations / 10
      }
      yield { name: `${dims.join('×')} R=${rank}, cosine ${cosine}`, method, reached, iterations }
    }
  }
}

/** Error of the output and accuracy of CharNet before any fine-tuning, decomposed by weights alone and by calibration. */
async function* aware(seeds: number, only: string): AsyncGenerator<Row> {
  const graph = await readOnnx(charnetFile)
  // The two ways differ in some hundredths of the answers: 6,000 characters tell a difference to about 0.2 points only.
  const test = await createCharacters({ split: 'test', count: 24_000 })
  const inputs = await createCharacters({ split: 'train', count: 512 })
  const calibration = { inputs: { image: floatTensor(inputs.images, [512, 1, 24, 24]) } }
  yield { name: 'dense', accuracy: (await evaluate(graph, test)).accuracy }
  for (const layer of ['conv2', 'conv3']) {
    for (const rank of [32, 64]) {
      if (!`${layer} R=${rank}`.includes(only)) continue
      for (let seed = 0; seed < seeds; seed++) {
        const row: Record<string, number> = {}
        for (const way of ['plain', 'aware']) {
          const begin = performance.now()
          const result = await compress(graph, {
            whenSlower: 'replace',
            layers: { [layer]: rank },
            seed,
            ...(way === 'aware' && { calibration })
          })
          row[`${way}Seconds`] = (performance.now() - begin) / 1000
          row[`${way}Accuracy`] = (await evaluate(result.graph, test)).accuracy
          const [report] = result.layers
          if (report?.outputError !== undefined) row.awareOutputError = report.outputError
          if (report?.outputErrorBefore !== undefined) row.plainOutputError = report.outputErrorBefore
        }
        yield { name: `${layer} R=${rank}`, seed, ...row }
      }
    }
  }
}

/** Milliseconds from abort() until the promise has rejected, at random moments of the longest jobs there are. */
async function* abort(starts: number, only: string): AsyncGenerator<Row> {
  for (const problem of kernels.slice(-2).filter(({ name }) => name.includes(only))) {
    const tensor = await problem.tensor()
    for (const init of ['random', 'svd'] as const) {
      const options = { rank: problem.rank, init, maxIterations: 20 } as const
      const whole = performance.now()
      await cpd(tensor, options)
      const duration = performance.now() - whole
      let longest = 0
      for (let i = 0; i < starts; i++) {
        const controller = new AbortController()
        const running = cpd(tensor, { ...options, signal: controller.signal }).catch(() => undefined)
        await new Promise((resolve) => setTimeout(resolve, ((i + Math.random()) / starts) * duration))
        const begin = performance.now()
        controller.abort()
        await running
        longest = Math.max(longest, performance.now() - begin)
      }
      yield { name: problem.name, init, starts, longestMs: longest }
    }
  }
}

await main()
