import { alexnetCharacters } from './alexnet-characters/experiment.js'
import { alexnetSpeed } from './alexnet-speed/experiment.js'
import { deepNetwork } from './deep-network/experiment.js'
import type { Experiment } from './framework/experiment.js'
import { memory } from './memory/experiment.js'
import { pastThePaper } from './past-the-paper/experiment.js'
import { regularisation } from './regularisation/experiment.js'
import { secondLayer } from './second-layer/experiment.js'
import { spatiallyVarying } from './spatially-varying/experiment.js'
import { wholeNetwork } from './whole-network/experiment.js'

/** In the order of the document. */
export const experiments: readonly Experiment[] = [
  pastThePaper,
  secondLayer,
  wholeNetwork,
  alexnetSpeed,
  alexnetCharacters,
  memory,
  deepNetwork,
  regularisation,
  spatiallyVarying
]
