using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;

namespace DarkStorage.Micro;

/// <summary>Adds a column of gigabytes (10^9) of data a second.</summary>
internal sealed class Rates : ManualConfig
{
    public Rates() => AddColumn(new RateColumn());

    private sealed class RateColumn : IColumn
    {
        public string Id => nameof(RateColumn);
        public string ColumnName => "GB/s";
        public bool AlwaysShow => true;
        public ColumnCategory Category => ColumnCategory.Custom;
        public int PriorityInCategory => 0;
        public bool IsNumeric => true;
        public UnitType UnitType => UnitType.Dimensionless;
        public string Legend => "10^9 bytes of data a second";

        public string GetValue(Summary summary, BenchmarkCase benchmarkCase)
        {
            if (summary[benchmarkCase]?.ResultStatistics?.Mean is not { } nanoseconds) return "?";
            var shape = (string)benchmarkCase.Parameters[nameof(ErasureCodes.Shape)];
            var bytes = new ErasureCodes { Shape = shape }.DataBytes;
            return (bytes / nanoseconds).ToString("F2", CultureInfo.InvariantCulture);
        }

        public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);

        public bool IsAvailable(Summary summary) => true;

        public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;
    }
}
