import { checkFunction, checkOptions, filePath, type Names } from '../arguments.js'
import type { Graph } from '../graph/graph.js'
import { compress, type KeptLayer } from '../replacement/compress.js'
import { compressOptions, type CompressOptions } from '../replacement/options.js'
import { checkCompression } from '../replacement/plan.js'
import type { LayerReport } from '../replacement/layer-report.js'
import { fineTuneOptions } from './options.js'
import { checkTuning, fineTune, type FineTuneOptions, type FineTuneResult } from './fine-tune.js'

export interface LayerByLayerOptions {
  /** What becomes of which layer, as for `compress`; they are taken in this order. */
  readonly compress: CompressOptions
  /** How the network is tuned after each layer. A checkpoint's path gets `.1`, `.2`, … for its stages. */
  readonly tune: FineTuneOptions
  /** Called when a layer has been replaced and the network tuned. */
  readonly onLayer?: (report: LayerReport, tuned: FineTuneResult) => void
}

const optionNames: Names<LayerByLayerOptions> = { compress: true, tune: true, onLayer: true }

export interface LayerByLayerResult {
  readonly graph: Graph
  /** In the order of `compress.layers`, without those that were kept. */
  readonly layers: readonly LayerReport[]
  /** Layers that stayed as they are because their chain is not faster: nothing is tuned after them. */
  readonly kept: readonly KeptLayer[]
  /** What tuning did after each of them. */
  readonly tuned: readonly FineTuneResult[]
}

/**
 * Decomposes one layer, tunes the whole network, and goes on with the next: each decomposition starts from weights that have already made
 * up for the layers before it. For networks that lose too much at once; `compress` and `fineTune` do all at once. Throws and rejects as
 * the two do, for the requests of all layers and the options of tuning before anything is computed; a stage whose checkpoint is finished is not trained again with `resume`.
 */
export async function compressLayerByLayer(graph: Graph, options: LayerByLayerOptions): Promise<LayerByLayerResult> {
  checkOptions(options, optionNames)
  const { compress: solving, tune, onLayer } = options
  checkOptions(solving, compressOptions, 'compress')
  checkOptions(tune, fineTuneOptions, 'tune')
  if (onLayer !== undefined) checkFunction('onLayer', onLayer)
  checkCompression(graph, solving)
  checkTuning(graph, tune)
  const requests = Object.entries(solving.layers)
  const layers: LayerReport[] = []
  const kept: KeptLayer[] = []
  const tuned: FineTuneResult[] = []
  let network = graph
  for (const [index, [name, request]] of requests.entries()) {
    const stage = await compress(network, {
      ...solving,
      layers: { [name]: request },
      ...(solving.onProgress && {
        onProgress: (event) => solving.onProgress?.({ ...event, fraction: (index + event.fraction) / requests.length })
      })
    })
    kept.push(...stage.kept)
    const [report] = stage.layers
    if (report === undefined) continue
    const result = await fineTune(stage.graph, {
      ...tune,
      ...(tune.checkpoint && {
        checkpoint: { ...tune.checkpoint, path: `${filePath('tune.checkpoint.path', tune.checkpoint.path)}.${index + 1}` }
      })
    })
    network = result.graph
    layers.push(report)
    tuned.push(result)
    onLayer?.(report, result)
    if (result.aborted) break
  }
  return { graph: network, layers, kept, tuned }
}
