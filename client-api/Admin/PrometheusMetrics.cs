using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace DarkStorage.ClientApi.Admin;

/// <summary>Listens to the program's meters and writes what they say in Prometheus' text format, version 0.0.4.</summary>
/// <remarks>A measurement costs a look-up and an addition. Series are bounded: past <see cref="SeriesMax"/> of one instrument
/// further ones are dropped, so that a client cannot fill memory with labels.</remarks>
internal sealed class PrometheusMetrics : IDisposable
{
    private const int SeriesMax = 2_000;
    private static readonly string[] Meters = ["DarkStorage.", "System.Runtime"];
    private static readonly double[] DefaultBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly Lock _writing = new();
    private readonly MeterListener _listener = new();
    private readonly ConcurrentDictionary<Instrument, InstrumentSeries> _instruments = [];

    public PrometheusMetrics()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (Array.Exists(Meters, m => instrument.Meter.Name.StartsWith(m, StringComparison.Ordinal)))
                listener.EnableMeasurementEvents(instrument, _instruments.GetOrAdd(instrument, static i => new InstrumentSeries(i)));
        };
        _listener.SetMeasurementEventCallback<int>((_, value, tags, state) => Record(state, value, tags));
        _listener.SetMeasurementEventCallback<long>((_, value, tags, state) => Record(state, value, tags));
        _listener.SetMeasurementEventCallback<double>((_, value, tags, state) => Record(state, value, tags));
        _listener.Start();
    }

    /// <summary>All series as they stand, in UTF-8. What is observed and has no value any more is left out: its last one would be told for ever.</summary>
    public ReadOnlyMemory<byte> Write()
    {
        var text = new StringBuilder(16 << 10);
        // One at a time, or one would write while another has just begun to observe.
        lock (_writing)
        {
            foreach (var instrument in _instruments.Values) instrument.BeginObserving();
            _listener.RecordObservableInstruments();
            foreach (var instrument in _instruments.Values.OrderBy(i => i.Name, StringComparer.Ordinal)) instrument.Write(text);
        }
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    public void Dispose() => _listener.Dispose();

    private static void Record(object? state, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags) => ((InstrumentSeries)state!).Record(value, tags);

    private sealed class InstrumentSeries
    {
        private readonly ConcurrentDictionary<LabelSet, Series> _series = [];
        private readonly Kind _kind;
        private readonly bool _isObserved;
        private readonly string? _help;
        private readonly double[] _boundaries;

        public InstrumentSeries(Instrument instrument)
        {
            var type = instrument.GetType().GetGenericTypeDefinition();
            _kind = type == typeof(Counter<>) ? Kind.Sum
                : type == typeof(UpDownCounter<>) ? Kind.UpDown
                : type == typeof(Histogram<>) ? Kind.Histogram
                : type == typeof(ObservableCounter<>) ? Kind.Total
                : Kind.Value;
            _isObserved = instrument.IsObservable;
            _help = instrument.Description;
            _boundaries = instrument switch
            {
                Histogram<double> { Advice.HistogramBucketBoundaries: { } b } => [.. b],
                Histogram<int> { Advice.HistogramBucketBoundaries: { } b } => [.. b.Select(x => (double)x)],
                Histogram<long> { Advice.HistogramBucketBoundaries: { } b } => [.. b.Select(x => (double)x)],
                _ => DefaultBoundaries,
            };
            Name = MetricName(instrument, _kind is Kind.Sum or Kind.Total);
        }

        public string Name { get; }

        /// <summary>Each look at what is observed tells all series that there are.</summary>
        public void BeginObserving()
        {
            if (_isObserved) _series.Clear();
        }

        public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            var labels = new LabelSet(tags);
            if (!_series.TryGetValue(labels, out var series))
            {
                if (_series.Count >= SeriesMax) return;
                series = _series.GetOrAdd(labels, _ => new Series(_kind == Kind.Histogram ? _boundaries.Length + 1 : 0));
            }
            series.Record(value, _kind, _boundaries);
        }

        public void Write(StringBuilder text)
        {
            // Also where nothing was counted yet: whoever writes a query sees what there is to ask for.
            if (_help is not null) text.Append(CultureInfo.InvariantCulture, $"# HELP {Name} {_help}\n");
            text.Append(CultureInfo.InvariantCulture, $"# TYPE {Name} {_kind switch { Kind.Sum or Kind.Total => "counter", Kind.Histogram => "histogram", _ => "gauge" }}\n");
            foreach (var (labels, series) in _series.OrderBy(s => s.Key.Text, StringComparer.Ordinal)) series.Write(text, Name, labels.Text, _kind, _boundaries);
        }

        /// <summary>OpenTelemetry's rules for Prometheus: dots become underscores, the unit a suffix, and a counter ends with _total.</summary>
        private static string MetricName(Instrument instrument, bool isCounter)
        {
            var name = string.Create(instrument.Name.Length, instrument.Name, static (span, source) =>
            {
                for (var i = 0; i < span.Length; i++) span[i] = char.IsAsciiLetterOrDigit(source[i]) ? source[i] : '_';
            });
            var unit = instrument.Unit switch { "s" => "_seconds", "By" => "_bytes", _ => "" };
            if (unit.Length > 0 && !name.EndsWith(unit, StringComparison.Ordinal)) name += unit;
            return isCounter && !name.EndsWith("_total", StringComparison.Ordinal) ? name + "_total" : name;
        }
    }

    private enum Kind
    {
        /// <summary>Measurements are added up.</summary>
        Sum,
        /// <summary>Measurements are added up and may fall.</summary>
        UpDown,
        /// <summary>The measurement is the sum so far.</summary>
        Total,
        /// <summary>The measurement is the value now.</summary>
        Value,
        Histogram,
    }

    private sealed class Series(int buckets)
    {
        private readonly Lock _lock = new();
        private readonly long[] _buckets = new long[buckets];
        private double _sum;
        private long _count;

        public void Record(double value, Kind kind, double[] boundaries)
        {
            lock (_lock)
            {
                _sum = kind is Kind.Total or Kind.Value ? value : _sum + value;
                _count++;
                if (kind != Kind.Histogram) return;
                var bucket = 0;
                while (bucket < boundaries.Length && value > boundaries[bucket]) bucket++;
                _buckets[bucket]++;
            }
        }

        public void Write(StringBuilder text, string name, string labels, Kind kind, double[] boundaries)
        {
            lock (_lock)
            {
                if (kind != Kind.Histogram)
                {
                    text.Append(CultureInfo.InvariantCulture, $"{name}{(labels.Length > 0 ? $"{{{labels}}}" : "")} {_sum}\n");
                    return;
                }
                var comma = labels.Length > 0 ? "," : "";
                var sum = 0L;
                for (var i = 0; i <= boundaries.Length; i++)
                {
                    sum += _buckets[i];
                    var boundary = i < boundaries.Length ? boundaries[i].ToString(CultureInfo.InvariantCulture) : "+Inf";
                    text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{{labels}{comma}le=\"{boundary}\"}} {sum}\n");
                }
                var braces = labels.Length > 0 ? $"{{{labels}}}" : "";
                text.Append(CultureInfo.InvariantCulture, $"{name}_sum{braces} {_sum}\n{name}_count{braces} {_count}\n");
            }
        }
    }

    /// <summary>The labels of a series. Compared by value, written once.</summary>
    private readonly struct LabelSet : IEquatable<LabelSet>
    {
        private readonly KeyValuePair<string, object?>[] _tags;
        private readonly int _hash;

        public LabelSet(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            _tags = tags.IsEmpty ? [] : tags.ToArray();
            var hash = new HashCode();
            foreach (var (_, value) in _tags) hash.Add(value);
            _hash = hash.ToHashCode();
        }

        public string Text => string.Join(',', _tags.Select(t => $"{t.Key.Replace('.', '_')}=\"{Escape(Convert.ToString(t.Value, CultureInfo.InvariantCulture) ?? "")}\""));

        public bool Equals(LabelSet other)
        {
            if (_tags.Length != other._tags.Length) return false;
            for (var i = 0; i < _tags.Length; i++)
            {
                if (_tags[i].Key != other._tags[i].Key || !Equals(_tags[i].Value, other._tags[i].Value)) return false;
            }
            return true;
        }

        public override bool Equals(object? obj) => obj is LabelSet other && Equals(other);

        public override int GetHashCode() => _hash;

        private static string Escape(string value) => value.Replace("\\", "\\\\", StringComparison.Ordinal)
            .Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
    }
}
