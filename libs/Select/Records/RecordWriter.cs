using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using DarkStorage.Select.Evaluation;

namespace DarkStorage.Select.Records;

/// <summary>Writes the answer's records, field by field.</summary>
internal abstract class RecordWriter(OutputFormat format) : IDisposable
{
    public static readonly JsonWriterOptions JsonOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    private readonly byte[] _delimiter = Encoding.UTF8.GetBytes(format.RecordDelimiter);
    private int _start;

    /// <summary>What was written and not yet taken.</summary>
    public ArrayBufferWriter<byte> Buffer { get; } = new(256 << 10);

    /// <summary>Bytes that were written, taken or not.</summary>
    public long Written { get; private set; }

    public static RecordWriter Create(OutputFormat format) => format is CsvOutput csv ? new CsvWriter(csv) : new JsonWriter((JsonOutput)format);

    public virtual void Begin() => _start = Buffer.WrittenCount;

    /// <param name="name">Read by JSON alone.</param>
    /// <exception cref="SelectException"><c>OverMaxRecordSize</c>: looked for with each field, or a thousand times a long one would be in memory first.</exception>
    public void Write(string name, in SelectValue value)
    {
        WriteField(name, value);
        RequireLength(BytesOfRecord);
    }

    /// <exception cref="SelectException"><c>OverMaxRecordSize</c>.</exception>
    public virtual void End()
    {
        RequireLength(BytesOfRecord);
        Buffer.Write(_delimiter);
        Written += BytesOfRecord;
    }

    protected virtual int BytesOfRecord => Buffer.WrittenCount - _start;

    protected abstract void WriteField(string name, in SelectValue value);

    private static void RequireLength(int bytes)
    {
        if (bytes > RecordReader.RecordBytesMax) throw new SelectException("OverMaxRecordSize", "The length of a record in the input or result is greater than the maximum of 1 MB.");
    }

    public virtual void Dispose()
    {
    }

    private sealed class CsvWriter(CsvOutput format) : RecordWriter(format)
    {
        private readonly byte[] _field = Encoding.UTF8.GetBytes(format.FieldDelimiter);
        private readonly byte[] _quote = Encoding.UTF8.GetBytes(format.Quote);
        private readonly byte[] _escape = Encoding.UTF8.GetBytes(format.Escape);
        private bool _hasField;

        public override void Begin()
        {
            base.Begin();
            _hasField = false;
        }

        protected override void WriteField(string name, in SelectValue value)
        {
            if (_hasField) Buffer.Write(_field);
            _hasField = true;
            if (value is { Kind: ValueKind.Real } && !double.IsFinite(value.Real)) return;
            var text = value.ToText().Span;
            if (!format.AlwaysQuote && !NeedsQuotes(text))
            {
                Buffer.Write(text);
                return;
            }
            Buffer.Write(_quote);
            while (Special(text) is >= 0 and var at)
            {
                Buffer.Write(text[..at]);
                Buffer.Write(_escape);
                var length = text[at..].StartsWith(_quote) ? _quote.Length : _escape.Length;
                Buffer.Write(text.Slice(at, length));
                text = text[(at + length)..];
            }
            Buffer.Write(text);
            Buffer.Write(_quote);
        }

        /// <summary>The first quote or escape character.</summary>
        private int Special(ReadOnlySpan<byte> text)
        {
            if (_quote.Length == 0) return -1;
            var (quote, escape) = (text.IndexOf(_quote), _escape.Length == 0 ? -1 : text.IndexOf(_escape));
            return quote < 0 ? escape : escape < 0 ? quote : Math.Min(quote, escape);
        }

        private bool NeedsQuotes(ReadOnlySpan<byte> text) =>
            text.IndexOfAny((byte)'\r', (byte)'\n') >= 0 || text.IndexOf(_field) >= 0 || text.IndexOf(_delimiter) >= 0 || Special(text) >= 0;
    }

    private sealed class JsonWriter : RecordWriter
    {
        private readonly Utf8JsonWriter _json;

        public JsonWriter(JsonOutput format) : base(format) => _json = new(Buffer, JsonOptions);

        protected override int BytesOfRecord => base.BytesOfRecord + _json.BytesPending;

        public override void Begin()
        {
            base.Begin();
            _json.Reset(Buffer);
            _json.WriteStartObject();
        }

        protected override void WriteField(string name, in SelectValue value)
        {
            if (value.Kind == ValueKind.Missing) return;
            _json.WritePropertyName(name);
            switch (value.Kind)
            {
                case ValueKind.Null:
                case ValueKind.Real when !double.IsFinite(value.Real):
                    _json.WriteNullValue();
                    break;
                case ValueKind.Boolean:
                    _json.WriteBooleanValue(value.Boolean);
                    break;
                case ValueKind.Integer or ValueKind.Real or ValueKind.Json:
                    _json.WriteRawValue(value.ToText().Span, skipInputValidation: true);
                    break;
                default:
                    _json.WriteStringValue(value.ToText().Span);
                    break;
            }
        }

        public override void End()
        {
            _json.WriteEndObject();
            _json.Flush();
            base.End();
        }

        public override void Dispose()
        {
            _json.Dispose();
            base.Dispose();
        }
    }
}
