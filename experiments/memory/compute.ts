import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { alexNet, vgg16 } from '../../bench/networks.js'
import { compress, cost, encodeOnnx, type Graph, Session, writeOnnx } from '../../lib/index.js'
import { denseCharNet } from '../common/charnet.js'
import type { CellContext } from '../framework/experiment.js'

export type NetworkName = 'CharNet' | 'AlexNet' | 'VGG-16'

export type MemoryConfig = {
  readonly network: NetworkName
  readonly form: 'dense' | 'cp'
  readonly batch: number
}

export interface MemoryResult {
  readonly parameters: number
  readonly macs: number
  /** Of the ONNX file. */
  readonly fileBytes: number
  /** Weights as kernels want them, and all that lives between the first and the last step. */
  readonly weightBytes: number
  readonly arenaBytes: number
  /** What a process's resident memory grows by when it opens the file's network, has run it and has let go of the graph. */
  readonly residentBytes: number
}

/** C×H×W of an image. */
export const imageDims: Readonly<Record<NetworkName, readonly number[]>> = {
  CharNet: [1, 24, 24],
  AlexNet: [3, 227, 227],
  'VGG-16': [3, 224, 224]
}

export async function run({ network, form, batch }: MemoryConfig, context: CellContext): Promise<MemoryResult> {
  const graph = await make(network, form)
  const dims = [batch, ...imageDims[network]]
  const file = context.scratch('onnx')
  await writeOnnx(graph, file)
  const session = await Session.create(graph, { threads: 1 })
  const { weightBytes, arenaBytes } = session.describe({ image: dims })
  session.close()
  const { macs, parameters } = cost(graph, { image: [1, ...imageDims[network]] })
  return { parameters, macs, fileBytes: encodeOnnx(graph).length, weightBytes, arenaBytes, residentBytes: await residentIn(file, dims) }
}

// Memory does not depend on what the weights are.
async function make(network: NetworkName, form: 'dense' | 'cp'): Promise<Graph> {
  if (network === 'AlexNet') return alexNet(form)
  if (network === 'VGG-16') return vgg16(form)
  const dense = await denseCharNet()
  return form === 'dense'
    ? dense
    : (await compress(dense, { whenSlower: 'replace', layers: { conv2: 64, conv3: 64 }, maxIterations: 2 })).graph
}

/** In a process of its own: memory that a process has once had says little. */
async function residentIn(file: string, dims: readonly number[]): Promise<number> {
  const script = fileURLToPath(new URL('resident.js', import.meta.url))
  const child = spawn(process.execPath, ['--expose-gc', script, file, dims.join()], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (piece) => (output += String(piece)))
  const [code] = (await once(child, 'close')) as [number]
  if (code !== 0) throw new Error(`${script} ended with ${code}`)
  return Number(output)
}
