import path from 'node:path'
import { cpd, type CpdOptions, type CpdResult } from '../decomposition/cpd.js'
import type { Factor } from '../decomposition/factors.js'
import { cpdInits, cpdMethods } from '../decomposition/options.js'
import { PolyadicError, show } from '../errors.js'
import { readNpy } from '../formats/npy.js'
import { readNpz, writeNpz } from '../formats/npz.js'
import { chartFormats, chartWriter } from '../report/chart-file.js'
import { lineChart } from '../report/charts.js'
import { significant } from '../report/format.js'
import { textTable } from '../report/table.js'
import type { Tensor } from '../tensor.js'
import { own } from '../own.js'
import { checkOutputs, choice, flag, integer, number, onePositional, requiredText, text } from './arguments.js'
import { type Arguments, type Command, type Context, UsageError } from './command.js'

const help = `
Decompose a tensor: T(i_1, ..., i_N) as a sum of R products of vectors, one a mode.

Usage: polyadic cpd TENSOR.npy --rank R [-o FACTORS.npz] [--plot TRACE.svg] [...]

  TENSOR.npy or .npz     float32 or float64, of order 2 to 6 (of an .npz the array that --array names, or the only one)
  --rank R               number of components; or error=0.2 for the least rank that reaches this relative error
  -o, --output FILE      writes factor_0, factor_1, ... (I_n x R, weights absorbed) and weights as .npz
  --plot FILE.svg        the relative error and the gradient by iteration; FILE.png with the package sharp
  --method NAME          nls (non-linear least squares), als or greedy (nls)
  --init NAME            random, svd or gevd (random)
  --factors FILE.npz     start from these: factor_0, factor_1, ...
  --restarts N           runs from as many seeds; the best one is kept (1)
  --seed N               (0)
  --max-iterations N     (200)
  --tolerance X          stops when the error changes less than this an iteration, relatively (1e-5)
  --ridge X              keeps components from growing and cancelling (1e-4); 0 for exact decompositions
  --max-weight X         bound on the weight of every component, relative to the norm of the tensor
  --epc X                error-preserving correction: less sensitive factors with an error up to X times as large, as in 1.005
  --array NAME           of a .npz file
  --threads N            (1)
  --json                 the result, without factors, as JSON
`

export const cpdCommand: Command = {
  name: 'cpd',
  summary: 'decompose a tensor',
  help,
  options: {
    rank: { type: 'string' },
    output: { type: 'string', short: 'o' },
    plot: { type: 'string' },
    method: { type: 'string' },
    init: { type: 'string' },
    factors: { type: 'string' },
    restarts: { type: 'string' },
    seed: { type: 'string' },
    'max-iterations': { type: 'string' },
    tolerance: { type: 'string' },
    ridge: { type: 'string' },
    'max-weight': { type: 'string' },
    epc: { type: 'string' },
    array: { type: 'string' },
    threads: { type: 'string' },
    json: { type: 'boolean' }
  },
  async run(args, context) {
    const file = onePositional(args, 'TENSOR.npy')
    const [output, plot] = [text(args, 'output'), text(args, 'plot')]
    const options = readOptions(args)
    if (plot !== undefined && !chartFormats.some((extension) => extension === path.extname(plot)))
      throw new UsageError(`--plot: expected a file name that ends in ${chartFormats.join(' or ')}, got ${show(plot)}`)
    const start = text(args, 'factors')
    await checkOutputs({ '--output': output, '--plot': plot }, [file, ...(start === undefined ? [] : [start])])
    const writePlot = plot === undefined ? undefined : await chartWriter(plot)
    const tensor = await readTensor(file, text(args, 'array'), context.signal)
    const given = start === undefined ? {} : { factors: await readFactors(start, tensor.dims.length, context.signal) }
    const result = await solve(tensor, { ...options, ...given }, context)
    context.signal.throwIfAborted()
    if (output !== undefined) await writeNpz(output, arraysOf(result), { signal: context.signal })
    await writePlot?.(tracePlot(path.basename(file), result))
    if (flag(args, 'json')) context.printJson(summaryOf(result))
    else context.print(describe(file, tensor, result))
  }
}

function readOptions(args: Arguments): CpdOptions {
  const method = choice(args, 'method', cpdMethods)
  const init = choice(args, 'init', cpdInits)
  const epc = number(args, 'epc', 1)
  const numbers = {
    restarts: integer(args, 'restarts', 1),
    seed: integer(args, 'seed', 0),
    maxIterations: integer(args, 'max-iterations', 1),
    tolerance: number(args, 'tolerance', 0),
    ridge: number(args, 'ridge', 0),
    maxWeight: number(args, 'max-weight', 0),
    threads: integer(args, 'threads', 1)
  }
  const chosen = Object.fromEntries(Object.entries({ method, init, ...numbers }).filter(([, value]) => value !== undefined))
  return { ...chosen, rank: readRank(args), ...(epc !== undefined && { correction: { epc } }) }
}

function readRank(args: Arguments): CpdOptions['rank'] {
  const value = requiredText(args, 'rank')
  const bound = /^error=(.+)$/.exec(value)
  if (bound) {
    const error = Number(bound[1])
    if (error > 0 && error < 1) return { error }
    throw new UsageError(`--rank: expected error=X with X between 0 and 1, got ${show(value)}`)
  }
  return integer(args, 'rank', 1) as number
}

async function readTensor(file: string, array: string | undefined, signal: AbortSignal): Promise<Tensor> {
  if (path.extname(file) !== '.npz') {
    if (array !== undefined) throw new UsageError('--array is for .npz files')
    return readNpy(file, { signal })
  }
  const arrays = await readNpz(file, { signal })
  const names = Object.keys(arrays)
  const name = array ?? (names.length === 1 ? names[0] : undefined)
  const found = name === undefined ? undefined : own(arrays, name)
  if (found === undefined) throw new UsageError(`--array: ${show(file)} holds ${names.join(', ') || 'nothing'}: name one of them`)
  return found
}

async function readFactors(file: string, order: number, signal: AbortSignal): Promise<Factor[]> {
  const arrays = await readNpz(file, { signal })
  return Array.from({ length: order }, (_, n) => {
    const factor = arrays[`factor_${n}`]
    if (factor === undefined) throw new PolyadicError('POLYADIC_FORMAT', `${show(file)}: there is no array factor_${n}`, { subject: file })
    return { data: factor.data, dims: factor.dims } as Factor
  })
}

async function solve(tensor: Tensor, options: CpdOptions, { signal, progress }: Context): Promise<CpdResult> {
  const { restarts = 1, maxIterations = 200 } = options
  try {
    return await cpd(tensor, {
      ...options,
      signal,
      onProgress: ({ iteration, relativeError, restart }) =>
        progress.update(
          'decomposing',
          (restart + Math.min(1, iteration / maxIterations)) / restarts,
          1,
          `error ${significant(relativeError, 4)}`
        )
    })
  } finally {
    progress.clear()
  }
}

function arraysOf({ factors, weights }: CpdResult): Record<string, Tensor> {
  const matrices = factors.map(({ data, dims }, n): [string, Tensor] => [
    `factor_${n}`,
    { dtype: data instanceof Float32Array ? 'float32' : 'float64', dims, data }
  ])
  return { ...Object.fromEntries(matrices), weights: { dtype: 'float64', dims: [weights.length], data: weights } }
}

function tracePlot(name: string, { trace, weights }: CpdResult): string {
  const series = [
    { name: 'relative error', points: trace.map((entry, i) => [i + 1, entry.error] as const) },
    { name: 'gradient norm', points: trace.map((entry, i) => [i + 1, entry.gradientNorm] as const) }
  ]
  return lineChart(series, { title: `${name}, rank ${weights.length}`, xLabel: 'iteration', yLabel: 'error, gradient', logY: true })
}

function summaryOf({ factors: _, weights, ...result }: CpdResult): object {
  return { rank: weights.length, ...result, weights: [...weights] }
}

function describe(file: string, tensor: Tensor, result: CpdResult): string {
  const size = result.factors.reduce((sum, { data }) => sum + data.length, 0)
  const rows = [
    ['relative error', significant(result.relativeError, 6)],
    ['iterations', `${result.iterations} (${result.stopReason.replace('_', ' ')})`],
    ['seconds', significant(result.trace.at(-1)?.seconds ?? 0, 3)],
    ['rank tried', (result.ranksTried ?? []).map(({ rank, relativeError }) => `${rank}: ${significant(relativeError, 3)}`).join(', ')],
    ['components', `${result.effectiveRank} of ${result.weights.length}`],
    ['numbers', `${size} of ${tensor.data.length}, ${significant(tensor.data.length / size, 3)} times fewer`],
    ['sensitivity', significant(result.sensitivity, 3)],
    ['congruence', significant(result.congruence, 3)],
    ['component norm', significant(result.componentNorm, 3)]
  ]
  const told = rows.filter(([, value]) => value !== '')
  return [`${file}: ${tensor.dims.join('×')} ${tensor.dtype}`, '', textTable([{ title: '' }, { title: '' }], told)].join('\n')
}
