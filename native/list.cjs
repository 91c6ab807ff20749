// Prints one list of native/sources.json, an item a line, for binding.gyp:
//   node native/list.cjs sources            all but kernels; sources core plan: those of these groups
//   node native/list.cjs kernels avx2       sources of one ISA's kernels
//   node native/list.cjs gcc avx2           its compiler flags
//   node native/list.cjs optimise           flags of what is compiled for size
//   node native/list.cjs option sanitize    what the environment asks for: POLYADIC_SANITIZE
'use strict'
const sources = require('./sources.json')
const options = { sanitize: process.env.POLYADIC_SANITIZE || 'none' }
// For what no time is spent in. Not ops and the solver: at -O2 PP-OCR's detector took 1.5 times as long. Sanitizers have a level of their own
// in binding.gyp.
const forSize = options.sanitize === 'none' ? ['-Os'] : []

function list(what, name, ...names) {
  if (what === 'option') return [options[name]]
  if (what === 'optimise') return forSize
  if (what === 'kernels') return sources.kernels[name].sources
  if (what !== 'sources') return sources.kernels[name][what]
  return Object.entries(sources)
    .filter(([key]) => key !== 'kernels' && (name === undefined || [name, ...names].includes(key)))
    .flatMap(([, files]) => files)
}

const items = list(...process.argv.slice(2))
if (!items) throw new Error(`native/list.cjs: no list for ${process.argv.slice(2).join(' ')}`)
console.log(items.join('\n'))
