import t from 'tap'
import {
  formatChange,
  formatClock,
  formatCount,
  formatMilliseconds,
  formatPercent,
  formatRatio,
  formatSpeed,
  significant
} from '../../lib/report/format.js'

t.test('numbers read well at every size', async (t) => {
  t.strictSame([512, 9999, 35_960_000, 77_000, 2.6e9, 999_600].map(formatCount), ['512', '9999', '36.0 M', '77.0 k', '2.60 G', '1.00 M'])
  t.strictSame([0, 0.01234, 12.345, 1234.5, 9.996].map(formatMilliseconds), ['0', '0.0123', '12.3', '1235', '10.0'])
  t.strictSame([formatPercent(91.234), formatRatio(9.637), formatCount(Number.NaN)], ['91.23 %', '9.64×', '-'])
  t.strictSame([0, 75, 3675].map(formatClock), ['0:00', '1:15', '1:01:15'])
  t.equal(significant(-0.5, 2), '-0.50')
})

t.test('what became more is never so many times fewer', async (t) => {
  t.equal(formatChange(964, 100), '9.64× fewer')
  t.equal(formatChange(100, 103), '1.03× more')
  t.equal(formatChange(69_300, 69_543), '243 more')
  t.equal(formatChange(69_543, 69_300), '243 fewer')
  t.equal(formatChange(7, 7), 'as many as before')
  t.strictSame([formatChange(0, 0), formatChange(Number.NaN, 3)], ['-', '-'])
  t.strictSame([formatSpeed(9, 3), formatSpeed(3, 9), formatSpeed(Number.NaN, 1)], ['3.00× faster', '3.00× slower', '-'])
})
