import { barChart } from '../../lib/report/charts.js'
import { formatCount, significant } from '../../lib/report/format.js'
import type { Section } from '../../lib/report/html.js'
import type { Finished } from '../framework/experiment.js'
import type { MemoryConfig, MemoryResult } from './compute.js'

const mebibytes = (bytes: number): string => significant(bytes / 2 ** 20, 3)

export function report(cells: readonly Finished<MemoryConfig, MemoryResult>[]): Section[] {
  const columns = [
    { title: 'network' },
    { title: 'form' },
    ...['batch', 'parameters', 'multiply-adds', 'file, MiB', 'packed weights, MiB', 'activations, MiB', 'resident, MiB'].map((title) => ({
      title,
      align: 'right' as const
    }))
  ]
  const rows = cells.map(({ config: { network, form, batch }, result }) => [
    network,
    form,
    String(batch),
    formatCount(result.parameters),
    formatCount(result.macs),
    ...[result.fileBytes, result.weightBytes, result.arenaBytes, result.residentBytes].map(mebibytes)
  ])
  const bars = cells.map(({ config: { network, form }, result }) => ({
    label: `${network}, ${form}`,
    value: result.residentBytes / 2 ** 20,
    group: form
  }))
  return [
    {
      kind: 'text',
      text: 'CharNet has conv2 and conv3 at rank 64; the convolutions of AlexNet (conv2 to conv5) and VGG-16 (all but the first) are at half of their channels as rank, and their fully connected layers, most of their parameters, are left as they are. Activations are the peak of all that lives between two steps, with the scratch memory of kernels. Resident is what a process grows by when it reads the file, makes a session, runs it and lets go of the graph; it depends on what the allocator gives back.'
    },
    { kind: 'table', columns, rows },
    {
      kind: 'chart',
      heading: 'Resident memory of a session',
      svg: barChart(bars, { title: 'Resident memory of a session', xLabel: 'MiB', format: (value) => significant(value, 3) })
    }
  ]
}
