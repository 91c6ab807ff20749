import t from 'tap'
import { formatClock, formatCount, formatMilliseconds, formatPercent, formatRatio, significant } from '../../lib/report/format.js'

t.test('numbers read well at every size', async (t) => {
  t.strictSame([512, 9999, 35_960_000, 77_000, 2.6e9, 999_600].map(formatCount), ['512', '9999', '36.0 M', '77.0 k', '2.60 G', '1.00 M'])
  t.strictSame([0, 0.01234, 12.345, 1234.5, 9.996].map(formatMilliseconds), ['0', '0.0123', '12.3', '1235', '10.0'])
  t.strictSame([formatPercent(91.234), formatRatio(9.637), formatCount(Number.NaN)], ['91.23 %', '9.64×', '-'])
  t.strictSame([0, 75, 3675].map(formatClock), ['0:00', '1:15', '1:01:15'])
  t.equal(significant(-0.5, 2), '-0.50')
})
