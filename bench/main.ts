import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { native } from '../lib/native/binding.js'
import { textTable } from '../lib/report/table.js'
import { significant } from '../lib/report/format.js'
import { charnet } from './charnet.js'
import { cpdSuite } from './cpd.js'
import { layerSuite } from './layers.js'
import { networkSuite } from './networks.js'
import { overheadSuite } from './overhead.js'
import type { BenchCase, Suite, SuiteContext } from './format.js'
import { peerNames } from './inference-peers.js'
import { benchReport, updateReport } from './harness.js'
import { training } from './training.js'

// A new suite is one file that exports a Suite, and its name here.
const suites: readonly Suite[] = [charnet, layerSuite, networkSuite, overheadSuite, cpdSuite, training]

const usage = `npm run bench -- [SUITE...] [--threads N] [--isa NAME] [--json FILE] [--update FILE] [--only TEXT] [--quick]
       inference also takes [--peers NAMES] [--precision f32|bf16]
       cpd also takes [--peer NAME] [--starts N] [--patience SECONDS]

Suites: ${suites.map(({ name }) => name).join(', ')} (all when none is named)
Peers of inference, with commas between (default: onnxruntime): ${peerNames.join(', ')}
--update: as --json, but cases that the file has from before stay where this run measured none, and it is written after every case
--precision: bf16 (default where this CPU has it) is measured beside f32, not instead of it
--only: the cases of inference, overhead and cpd that hold this, such as "AlexNet cp"`

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      threads: { type: 'string', default: '1' },
      isa: { type: 'string' },
      json: { type: 'string' },
      update: { type: 'string' },
      peers: { type: 'string', default: 'onnxruntime' },
      precision: { type: 'string', default: 'bf16' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      peer: { type: 'string' },
      starts: { type: 'string', default: '5' },
      patience: { type: 'string', default: '60' },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return console.log(usage)
  const threads = positive('threads', values.threads)
  const [starts, patience] = [positive('starts', values.starts), positive('patience', values.patience)]
  const chosen = positionals.map((name) => suites.find((suite) => suite.name === name) ?? unknownSuite(name))
  if (values.isa !== undefined) native().setIsa(values.isa)
  const peers = values.peers.split(',').filter((name) => name !== '')
  const unknown = peers.find((name) => !peerNames.includes(name))
  if (unknown !== undefined) throw new RangeError(`there is no peer ${unknown}; there are: ${peerNames.join(', ')}`)
  const context: SuiteContext = {
    threads,
    isa: native().cpu().isa,
    quick: values.quick,
    bf16: bf16Kernels(values.precision),
    peers,
    only: values.only,
    peer: values.peer,
    starts,
    patience
  }
  const cases: BenchCase[] = []
  for (const suite of chosen.length > 0 ? chosen : suites) {
    for await (const measured of suite.run(context)) {
      cases.push(measured)
      if (values.update !== undefined) await updateReport(values.update, cases)
      console.error(`${measured.suite} ${measured.name}: ${significant(measured.ours_ms, 3)} ms`)
    }
  }
  console.log(table(cases))
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(benchReport(cases), null, 2)}\n`)
}

function bf16Kernels(precision: string): SuiteContext['bf16'] {
  if (precision !== 'f32' && precision !== 'bf16') throw new RangeError(`--precision: expected f32 or bf16, got ${precision}`)
  const { bf16 } = native().cpu()
  return precision === 'bf16' && bf16 !== null ? bf16 : undefined
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`--${name}: expected a positive integer, got ${text}`)
  return value
}

function unknownSuite(name: string): never {
  throw new RangeError(`there is no suite ${name}; there are: ${suites.map((suite) => suite.name).join(', ')}`)
}

function table(cases: readonly BenchCase[]): string {
  const right = { align: 'right' } as const
  const number = (value: number | undefined): string => (value === undefined ? '' : significant(value, 3))
  const columns = [
    { title: 'suite' },
    { title: 'case' },
    { title: 'form' },
    { title: 'threads', ...right },
    { title: 'isa' },
    { title: 'precision' },
    { title: 'ours ms', ...right },
    { title: 'peer' },
    { title: 'peer ms', ...right },
    { title: 'ratio', ...right },
    { title: 'over it µs', ...right },
    { title: 'GFLOP/s', ...right },
    { title: 'of peak', ...right },
    { title: 'max |diff|', ...right }
  ]
  const rows = cases.map((c) => [
    c.suite,
    c.name,
    c.form ?? '',
    String(c.threads),
    c.isa,
    c.precision,
    number(c.ours_ms),
    c.peer ?? '',
    number(c.peer_ms),
    number(c.ratio),
    c.overhead_us?.toFixed(1) ?? '',
    number(c.gflops),
    c.peak_fraction === undefined ? '' : `${(100 * c.peak_fraction).toFixed(0)} %`,
    c.max_abs_diff?.toExponential(1) ?? ''
  ])
  return textTable(columns, rows)
}

await main().catch((error: unknown) => {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
})
