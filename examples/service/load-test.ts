// Dense against CP at the same load, on the loopback interface: npm run service:load -- [--seconds 8] [--connections 8] [--rate 600] [--json FILE]
import { createRequire } from 'node:module'
import { writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { textTable } from '../../lib/report/table.js'
import { machine } from '../../lib/report/machine.js'
import { charnetFile, root } from '../charnet/paths.js'
import { pound, sampleImages, startService } from './client.js'

interface CannonResult {
  readonly requests: { readonly average: number }
  readonly latency: { readonly p50: number; readonly p99: number }
  readonly '2xx': number
  readonly non2xx: number
  readonly errors: number
  readonly timeouts: number
}
type Cannon = (options: object) => Promise<CannonResult>
const autocannon = createRequire(import.meta.url)('autocannon') as Cannon

interface Row {
  readonly network: string
  readonly load: string
  readonly requestsPerSecond: number
  readonly p50: number
  readonly p99: number
  readonly failed: number
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    connections: { type: 'string', default: '8' },
    rate: { type: 'string', default: '600' },
    json: { type: 'string' }
  }
})
const seconds = Math.min(60, Number(values.seconds))
const connections = Math.min(256, Number(values.connections))
const compressed = path.join(root, 'out', 'charnet', 'charnet.cp.onnx')
if (!existsSync(compressed)) throw new Error('there is no CP network yet: npm run demo -- --quick')

const images = await sampleImages(64)
const requests = images.map((body) => ({ method: 'POST', path: '/classify', headers: { 'content-type': 'image/png' }, body }))

async function measure(network: string, url: string, load: string, options: object): Promise<Row> {
  const { requests: rate, latency, non2xx, errors, timeouts } = await autocannon({ url, requests, connections, ...options })
  return { network, load, requestsPerSecond: rate.average, p50: latency.p50, p99: latency.p99, failed: non2xx + errors + timeouts }
}

const rows: Row[] = []
const endings: string[] = []
for (const [network, model] of [
  ['dense', charnetFile],
  ['CP', compressed]
] as const) {
  const { url, stop } = await startService(model, ['--grace', '300'])
  await autocannon({ url, requests, connections, duration: 2 }) // plans made, code compiled
  rows.push(await measure(network, url, `as many as ${connections} connections get through`, { duration: seconds }))
  rows.push(await measure(network, url, `${values.rate} requests a second`, { duration: seconds, overallRate: Number(values.rate) }))
  // And the end under load.
  const ended = setTimeout(500).then(stop)
  const counts = await pound(url, images, connections)
  const { code } = await ended
  endings.push(`${network}, SIGTERM under load: ${[...counts].map(([what, count]) => `${count} × ${what}`).join(', ')}; exit code ${code}`)
  if (code !== 0 || counts.has('lost') || counts.has('refused')) process.exitCode = 1
}

const right = { align: 'right' } as const
const columns = [
  { title: 'network' },
  { title: 'load' },
  { title: 'requests/s', ...right },
  { title: 'p50 ms', ...right },
  { title: 'p99 ms', ...right },
  { title: 'failed', ...right }
]
console.log(
  textTable(
    columns,
    rows.map((row) => [row.network, row.load, row.requestsPerSecond.toFixed(0), String(row.p50), String(row.p99), String(row.failed)])
  )
)
console.log(endings.join('\n'))
if (values.json !== undefined)
  await writeFile(values.json, `${JSON.stringify({ machine: machine(), connections, seconds, rows }, null, 2)}\n`)
