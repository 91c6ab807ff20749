// Serves a CharNet: npm run service -- [--model charnet.cp.onnx] [--port 8080] [--threads 1]
import path from 'node:path'
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { charnetFile, root } from '../charnet/paths.js'
import { readOnnx } from '../../lib/index.js'
import { createService } from './server.js'

const compressed = path.join(root, 'out', 'charnet', 'charnet.cp.onnx')
const { values } = parseArgs({
  options: {
    model: { type: 'string', default: existsSync(compressed) ? compressed : charnetFile },
    port: { type: 'string', default: '8080' },
    host: { type: 'string', default: '127.0.0.1' },
    threads: { type: 'string', default: '1' },
    grace: { type: 'string', default: '1000' }
  }
})

const service = await createService({ graph: await readOnnx(values.model), threads: Number(values.threads) })
const address = await service.app.listen({ port: Number(values.port), host: values.host })
console.log(`${path.basename(values.model)} at ${address}`)

let stopping = false
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (stopping) return
    stopping = true
    service.shutdown(Number(values.grace)).then(
      () => console.log('stopped: every request has its answer'),
      (error: unknown) => {
        console.error(error)
        process.exitCode = 1
      }
    )
  })
}
