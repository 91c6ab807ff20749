// Prints one list of native/sources.json, an item a line, for binding.gyp:
//   node native/list.cjs sources            core and binding sources
//   node native/list.cjs kernels avx2       sources of one ISA's kernels
//   node native/list.cjs gcc avx2           its compiler flags
'use strict'
const sources = require('./sources.json')
const [what, isa] = process.argv.slice(2)
const list =
  what === 'sources'
    ? Object.entries(sources)
        .filter(([key]) => key !== 'kernels')
        .flatMap(([, files]) => files)
    : what === 'kernels'
      ? sources.kernels[isa].sources
      : sources.kernels[isa][what]
if (!list) throw new Error(`native/list.cjs: no list for ${process.argv.slice(2).join(' ')}`)
console.log(list.join('\n'))
