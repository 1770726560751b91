using System.Text;
using DarkStorage.Select;
using Xunit;

namespace DarkStorage.Unit.Select;

/// <summary>Runs queries over content in memory.</summary>
internal static class Queries
{
    public static Task<string> CsvAsync(string sql, string csv, FileHeader header = FileHeader.Use) => RunAsync(sql, csv, new CsvInput(header), new CsvOutput());

    public static Task<string> JsonAsync(string sql, string json, bool lines = true) => RunAsync(sql, json, new JsonInput(lines), new JsonOutput());

    public static Task<string> RunAsync(string sql, string content, InputFormat input, OutputFormat output, ScanRange? range = null, Random? cuts = null) =>
        RunAsync(new(sql, input, Compression.None, output, range), Encoding.UTF8.GetBytes(content), cuts);

    /// <param name="cuts">Where the content is cut into the pieces that it arrives in; null for as large as may be.</param>
    public static async Task<string> RunAsync(SelectQuery query, byte[] content, Random? cuts = null)
    {
        var sink = new Sink();
        var done = await SelectRun.Prepare(query, TimeProvider.System).ExecuteAsync(new Source(content, cuts), sink, CancellationToken.None);
        Assert.Equal(sink.Records.Length, done.Returned);
        return Encoding.UTF8.GetString(sink.Records.ToArray());
    }

    public static async Task<SelectException> RefusedAsync(string code, Func<Task> query)
    {
        var refused = await Assert.ThrowsAsync<SelectException>(query);
        Assert.Equal(code, refused.Code);
        return refused;
    }

    private sealed class Sink : ISelectSink
    {
        public MemoryStream Records { get; } = new();

        public ValueTask WriteRecordsAsync(ReadOnlyMemory<byte> records, CancellationToken ct)
        {
            Records.Write(records.Span);
            return ValueTask.CompletedTask;
        }

        public ValueTask ReportAsync(SelectProgress progress, CancellationToken ct) => ValueTask.CompletedTask;
    }

    private sealed class Source(byte[] content, Random? cuts) : ISelectSource
    {
        public long Length => content.Length;

        public ValueTask<Stream> OpenAsync(long first, CancellationToken ct) =>
            ValueTask.FromResult<Stream>(new Pieces(new MemoryStream(content, (int)first, content.Length - (int)first), cuts));
    }

    private sealed class Pieces(MemoryStream content, Random? cuts) : Stream
    {
        private bool _disposed;

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => content.Read(buffer, offset, cuts is null ? count : Math.Min(count, cuts.Next(1, 12)));

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            ValueTask.FromResult(content.Read(buffer.Span[..(cuts is null ? buffer.Length : Math.Min(buffer.Length, cuts.Next(1, 12)))]));

        public override ValueTask DisposeAsync()
        {
            Assert.False(_disposed, "A stream of the store is disposed once.");
            _disposed = true;
            return base.DisposeAsync();
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
