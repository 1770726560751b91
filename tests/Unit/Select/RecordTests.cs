using System.Globalization;
using System.IO.Compression;
using System.Text;
using System.Text.Json;
using DarkStorage.Select;
using ICSharpCode.SharpZipLib.BZip2;
using Xunit;

namespace DarkStorage.Unit.Select;

/// <summary>Records in and out: CSV and JSON, ranges, compression, aggregates.</summary>
public sealed class RecordTests
{
    private const string People = "id,name,age\n1,Ann,30\n2,\"Bob, Jr.\",4\n3,Cy,100\n";

    public static TheoryData<int> Seeds => [1, 2, 3, 4, 5, Random.Shared.Next()];

    [Theory]
    [InlineData("SELECT * FROM S3Object", FileHeader.Use, "1,Ann,30\n2,\"Bob, Jr.\",4\n3,Cy,100\n")]
    [InlineData("SELECT * FROM S3Object", FileHeader.Ignore, "1,Ann,30\n2,\"Bob, Jr.\",4\n3,Cy,100\n")]
    [InlineData("SELECT * FROM S3Object LIMIT 1", FileHeader.None, "id,name,age\n")]
    [InlineData("SELECT * FROM S3Object LIMIT 0", FileHeader.None, "")]
    [InlineData("SELECT s.* FROM S3Object s WHERE s._1 = '3'", FileHeader.None, "3,Cy,100\n")]
    [InlineData("SELECT age, id FROM S3Object", FileHeader.Use, "30,1\n4,2\n100,3\n")]
    [InlineData("SELECT AGE FROM S3Object LIMIT 1", FileHeader.Use, "30\n")]
    [InlineData("SELECT _2 FROM S3Object LIMIT 1", FileHeader.Use, "Ann\n")]
    [InlineData("SELECT _9 FROM S3Object LIMIT 1", FileHeader.Use, "\n")]
    [InlineData("SELECT name FROM S3Object WHERE CAST(age AS INT) > 20", FileHeader.Use, "Ann\nCy\n")]
    [InlineData("SELECT name FROM S3Object WHERE age > 20", FileHeader.Use, "Ann\nCy\n")]
    [InlineData("SELECT COUNT(*), SUM(age), MIN(CAST(age AS INT)), MAX(CAST(age AS INT)), AVG(id) FROM S3Object", FileHeader.Use, "3,134,4,100,2\n")]
    [InlineData("SELECT SUM(age) / COUNT(*) + 1 FROM S3Object", FileHeader.Use, "45\n")]
    [InlineData("SELECT COUNT(*), SUM(age) FROM S3Object WHERE id = '9'", FileHeader.Use, "0,\n")]
    [InlineData("SELECT COUNT(*) FROM S3Object LIMIT 0", FileHeader.Use, "")]
    public async Task CSV_is_answered(string sql, FileHeader header, string answer) => Assert.Equal(answer, await Queries.CsvAsync(sql, People, header));

    [Theory]
    [InlineData("SELECT nobody FROM S3Object", FileHeader.Use, "MissingHeaders")]
    [InlineData("SELECT \"NAME\" FROM S3Object", FileHeader.Use, "MissingHeaders")]
    [InlineData("SELECT name FROM S3Object", FileHeader.None, "MissingHeaders")]
    [InlineData("SELECT s.name.first FROM S3Object s", FileHeader.Use, "InvalidKeyPath")]
    [InlineData("SELECT * FROM S3Object[*].a", FileHeader.Use, "InvalidKeyPath")]
    [InlineData("SELECT SUM(name) FROM S3Object", FileHeader.Use, "CastFailed")]
    public async Task What_CSV_does_not_have_is_refused(string sql, FileHeader header, string code) => await Queries.RefusedAsync(code, () => Queries.CsvAsync(sql, People, header));

    [Fact]
    public async Task A_name_that_two_columns_have_is_told_apart_by_quotes()
    {
        await Queries.RefusedAsync("AmbiguousFieldName", () => Queries.CsvAsync("SELECT a FROM S3Object", "a,A\n1,2\n"));
        Assert.Equal("2\n", await Queries.CsvAsync("SELECT \"A\" FROM S3Object", "a,A\n1,2\n"));
        await Queries.RefusedAsync("AmbiguousFieldName", () => Queries.JsonAsync("SELECT s.a FROM S3Object s", """{"a":1,"A":2}"""));
        Assert.Equal("{\"A\":2}\n", await Queries.JsonAsync("SELECT s.\"A\" FROM S3Object s", """{"a":1,"A":2}"""));
    }

    [Theory]
    [InlineData("a\r\nb\r\n", "a|\nb|\n")]
    [InlineData("a\n\n\nb", "a|\nb|\n")]
    [InlineData("#x\na\n# y", "a|\n")]
    [InlineData("\"a\"\"b\",c\n", "a\"b|c\n")]
    [InlineData("\"a\n", "CSVParsingError")]
    [InlineData("\"a\nb\"\n", "CSVParsingError")]
    [InlineData("\"a\"b\n", "CSVParsingError")]
    [InlineData("a\"b,c\n", "a\"b|c\n")]
    [InlineData("\"\",\n", "|\n")]
    [InlineData(",", "|\n")]
    [InlineData("\uFEFFa,b\n", "a|b\n")]
    public async Task Odd_CSV_is_read_or_refused(string csv, string answer)
    {
        var query = Queries.RunAsync("SELECT _1, _2 FROM S3Object", csv, new CsvInput(Comment: '#'), new CsvOutput(FieldDelimiter: "|", Quote: "", Escape: ""));
        if (answer.EndsWith("Error", StringComparison.Ordinal)) await Queries.RefusedAsync(answer, () => query);
        else Assert.Equal(answer, await query);
    }

    [Fact]
    public async Task Records_are_bounded_and_UTF_8()
    {
        await Queries.RefusedAsync("OverMaxRecordSize", () => Queries.CsvAsync("SELECT COUNT(*) FROM S3Object", "a\n" + new string('x', 1_100_000) + "\n"));
        await Queries.RefusedAsync("OverMaxRecordSize", () => Queries.JsonAsync("SELECT COUNT(*) FROM S3Object", $"\"{new string('x', 1_100_000)}\""));
        var latin = new SelectQuery("SELECT * FROM S3Object", new CsvInput(), Compression.None, new CsvOutput());
        await Queries.RefusedAsync("InvalidTextEncoding", () => Queries.RunAsync(latin, [0x61, 0xE4, 0x0A]));
        await Queries.RefusedAsync("InvalidTextEncoding", () => Queries.RunAsync(latin with { Input = new JsonInput(true) }, [0x22, 0xE4, 0x22, 0x0A]));
    }

    [Theory, MemberData(nameof(Seeds))]
    public async Task CSV_that_was_written_is_read_again_however_it_arrives(int seed)
    {
        var random = new Random(seed);
        var (field, record, quote) = random.Next(3) switch { 0 => (',', "\n", '"'), 1 => ('\t', "\r\n", '\''), _ => ('ä', "|", '"') };
        var escape = random.Next(2) == 0 ? quote : '\\';
        var records = Enumerable.Range(0, 60).Select(_ => Enumerable.Range(0, random.Next(1, 5)).Select(_ => Text(random)).ToArray()).ToArray();
        // A record of one empty field is a blank line where it is not quoted, and a blank line is no record.
        foreach (var fields in records)
        {
            if (fields is [""]) fields[0] = "x";
        }
        var csv = new StringBuilder();
        foreach (var fields in records)
        {
            csv.AppendJoin(field, fields.Select(f =>
                quote + f.Replace($"{escape}", $"{escape}{escape}", StringComparison.Ordinal).Replace($"{quote}", escape == quote ? $"{quote}" : $"{escape}{quote}", StringComparison.Ordinal) + quote)).Append(record);
        }
        var input = new CsvInput(FileHeader.None, record, field, quote, escape, null, QuotedRecordDelimiter: true);
        var answer = await Queries.RunAsync("SELECT * FROM S3Object", csv.ToString(), input, new JsonOutput(), cuts: random);
        var lines = answer.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(records.Length, lines.Length);
        for (var i = 0; i < lines.Length; i++)
        {
            using var json = JsonDocument.Parse(lines[i]);
            Assert.Equal(records[i], json.RootElement.EnumerateObject().Select(p => p.Value.GetString()));
        }
        // And what we write, we read.
        var output = await Queries.RunAsync("SELECT * FROM S3Object", csv.ToString(), input, new CsvOutput(record, $"{field}", $"{quote}", $"{escape}", random.Next(2) == 0));
        Assert.Equal(answer, await Queries.RunAsync("SELECT * FROM S3Object", output, input, new JsonOutput(), cuts: random));
    }

    [Theory]
    [InlineData("SELECT * FROM S3Object", "{\"a\": [1, 2]}\n{\"b\":null}", "{\"a\":[1,2]}\n{\"b\":null}\n")]
    [InlineData("SELECT * FROM S3Object[*][*] s WHERE s.a > 1", "[{\"a\":1},{\"a\":2}]", "{\"a\":2}\n")]
    [InlineData("SELECT id FROM S3Object[*].Rules[*].id", "{\"Rules\":[{\"id\":\"1\"},{\"expr\":\"y > x\"},{\"id\":\"2\"}]}", "{\"id\":\"1\"}\n{}\n{\"id\":\"2\"}\n")]
    [InlineData("SELECT * FROM S3Object[*].Rules[*].id", "{\"Rules\":[{\"id\":\"1\"},{\"expr\":\"y > x\"}]}", "{\"id\":\"1\"}\n{}\n")]
    [InlineData("SELECT d.x FROM S3Object[*].list[*] d", "{\"list\":[{\"x\":1},{\"x\":\"ü\"}]} {\"list\":[{\"x\":true}]}", "{\"x\":1}\n{\"x\":\"ü\"}\n{\"x\":true}\n")]
    [InlineData("SELECT COUNT(d.x), COUNT(*) FROM S3Object[*].list[*] d", "{\"list\":[{\"x\":1},{}]}", "{\"_1\":1,\"_2\":2}\n")]
    [InlineData("SELECT d FROM S3Object[*].list[1] d", "{\"list\":[1,{\"x\":1}]}", "{\"_1\":{\"x\":1}}\n")]
    public async Task JSON_documents_are_answered(string sql, string json, string answer) => Assert.Equal(answer, await Queries.JsonAsync(sql, json, lines: false));

    [Theory]
    [InlineData("{\"a\":1}\n{\"a\":")]
    [InlineData("{\"a\":1}}\n")]
    [InlineData("{\"a\":\"\\ud800\"}")]
    [InlineData("nul")]
    public async Task Broken_JSON_is_refused(string json)
    {
        foreach (var lines in (bool[])[true, false])
            await Queries.RefusedAsync("JSONParsingError", () => Queries.JsonAsync("SELECT s.a FROM S3Object s", json, lines));
    }

    [Theory, MemberData(nameof(Seeds))]
    public async Task Aggregates_are_those_of_the_records_however_they_arrive(int seed)
    {
        var random = new Random(seed);
        var numbers = Enumerable.Range(0, random.Next(1, 2_000)).Select(_ => random.Next(5) == 0 ? (long?)null : random.NextInt64(-1_000_000_000, 1_000_000_000)).ToArray();
        var there = numbers.OfType<long>().ToArray();
        var json = string.Concat(numbers.Select(n => n is null ? "{}\n" : $"{{\"n\":{n}}}\n"));
        var input = new JsonInput(random.Next(2) == 0);
        var answer = await Queries.RunAsync("SELECT COUNT(*), COUNT(s.n), SUM(s.n), MIN(s.n), MAX(s.n), AVG(s.n) FROM S3Object s", json, input, new CsvOutput(), cuts: random);
        var whole = there.Length == 0 ? ",,," : string.Create(CultureInfo.InvariantCulture, $"{there.Sum()},{there.Min()},{there.Max()},{(double)there.Sum() / there.Length:R}");
        Assert.Equal(string.Create(CultureInfo.InvariantCulture, $"{numbers.Length},{there.Length},{whole}\n"), answer);
    }

    [Theory, MemberData(nameof(Seeds))]
    public async Task Ranges_that_cover_an_object_give_each_record_once(int seed)
    {
        var random = new Random(seed);
        var isJson = random.Next(2) == 0;
        var delimiter = isJson || random.Next(2) == 0 ? "\n" : "\r\n";
        var ids = Enumerable.Range(0, 200).Select(i => i.ToString(CultureInfo.InvariantCulture)).ToArray();
        var content = (isJson ? "" : $"id,x{delimiter}") + string.Concat(ids.Select(i => (isJson ? $"{{\"id\":\"{i}\",\"x\":\"{new string('x', random.Next(20))}\"}}" : $"{i},{new string('x', random.Next(20))}") + delimiter));
        InputFormat input = isJson ? new JsonInput(true) : new CsvInput(FileHeader.Use, delimiter);
        var answer = new StringBuilder();
        for (var start = 0L; start < content.Length;)
        {
            var end = start + random.Next(1, 90);
            answer.Append(await Queries.RunAsync("SELECT s.id FROM S3Object s", content, input, new CsvOutput(), new(start, end), random));
            start = end + 1;
        }
        Assert.Equal(string.Concat(ids.Select(i => i + "\n")), answer.ToString());
        var last = content.Length - content.IndexOf(isJson ? "{\"id\":\"190\"" : "190,", StringComparison.Ordinal);
        Assert.Equal(string.Concat(ids[190..].Select(i => i + "\n")), await Queries.RunAsync("SELECT s.id FROM S3Object s", content, input, new CsvOutput(), new(null, last)));
    }

    [Theory]
    [InlineData(5L, 4L)]
    [InlineData(-1L, 4L)]
    [InlineData(1_000L, null)]
    [InlineData(null, null)]
    public async Task A_range_that_is_none_is_refused(long? start, long? end) =>
        await Queries.RefusedAsync("InvalidScanRange", () => Queries.RunAsync("SELECT * FROM S3Object", People, new CsvInput(), new CsvOutput(), new(start, end)));

    [Theory]
    [InlineData(Compression.Gzip)]
    [InlineData(Compression.Bzip2)]
    public async Task Compressed_input_is_read_and_what_is_broken_of_it_refused(Compression compression)
    {
        var text = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 20_000).Select(i => $"{i},{i * 7919 % 10007}\n")));
        using var memory = new MemoryStream();
        using (Stream stream = compression == Compression.Gzip ? new GZipStream(memory, CompressionLevel.Fastest, leaveOpen: true) : new BZip2OutputStream(memory) { IsStreamOwner = false }) stream.Write(text);
        var packed = memory.ToArray();
        var query = new SelectQuery("SELECT COUNT(*), SUM(_1) FROM S3Object", new CsvInput(), compression, new CsvOutput());
        Assert.Equal("20000,199990000\n", await Queries.RunAsync(query, packed, new Random(1)));
        await Queries.RefusedAsync("TruncatedInput", () => Queries.RunAsync(query, packed[..(packed.Length / 2)]));
        await Queries.RefusedAsync("TruncatedInput", () => Queries.RunAsync(query, text));
        await Queries.RefusedAsync("UnsupportedScanRangeInput", () => Queries.RunAsync(query with { Range = new(0, 5) }, packed));
    }

    [Theory, MemberData(nameof(Seeds))]
    public async Task No_soup_of_tokens_fails_but_as_a_query_of_the_client(int seed)
    {
        string[] tokens = ["SELECT", "FROM", "S3Object", "s", "WHERE", "LIMIT", "*", "s.a", "s._1", "_2", "a", "1", "-1", "1.5", "'x'", "'2'", "(", ")", "(", ")", ",", "+", "-", "/", "%", "||", "=", "<", ">=", "AND", "OR", "NOT",
            "IN", "LIKE", "ESCAPE", "IS", "NULL", "MISSING", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "END", "CAST(", "AS", "INT", "TIMESTAMP", "COUNT(", "SUM(", "MIN(", "AVG(", "COALESCE(", "SUBSTRING(", "TRIM(", "UPPER(",
            "DATE_ADD(", "year", "UTCNOW()", "`2010T`", "[", "]", ".", ";", "TRUE", "\"q\"", "EXTRACT(", "TO_STRING("];
        var random = new Random(seed);
        var answered = 0;
        for (var i = 0; i < 3_000; i++)
        {
            var soup = string.Join(' ', Enumerable.Range(0, random.Next(1, 9)).Select(_ => tokens[random.Next(tokens.Length)]));
            var sql = random.Next(6) == 0 ? soup : $"SELECT {(random.Next(2) == 0 ? "*" : soup)} FROM S3Object s WHERE {soup}";
            try
            {
                if (random.Next(2) == 0) await Queries.RunAsync(sql, "a,b\n1,x\n2010T,\n", new CsvInput((FileHeader)random.Next(3)), new JsonOutput(), cuts: random);
                else await Queries.RunAsync(sql, "{\"a\":1}\n{\"a\":[{}]}\n5\n", new JsonInput(random.Next(2) == 0), new CsvOutput(), cuts: random);
                answered++;
            }
            catch (SelectException)
            {
                // Refused with a code: what a client may be told.
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"Seed {seed}: {sql}", e);
            }
        }
        Assert.InRange(answered, 10, 3_000);
    }

    [Fact]
    public async Task A_query_ends_when_it_is_cancelled()
    {
        using var cancelled = new CancellationTokenSource();
        var query = new SelectQuery("SELECT COUNT(*) FROM S3Object WHERE _1 LIKE '%x%x%y'", new CsvInput(), Compression.None, new CsvOutput());
        var run = SelectRun.Prepare(query, TimeProvider.System);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run.ExecuteAsync(new Endless(cancelled), new Ignored(), cancelled.Token));
    }

    private static string Text(Random random) => string.Concat(Enumerable.Range(0, random.Next(12)).Select(_ => "ab\"'\\,\n\r\t|ä€ #"[random.Next(14)]));

    /// <summary>Gives the same record forever, and after some of them cancels.</summary>
    private sealed class Endless(CancellationTokenSource cancelled) : ISelectSource
    {
        private int _opened;

        public long Length => long.MaxValue;

        public ValueTask<Stream> OpenAsync(long first, CancellationToken ct)
        {
            Assert.Equal(1, Interlocked.Increment(ref _opened));
            return ValueTask.FromResult<Stream>(new Records(cancelled));
        }

        private sealed class Records(CancellationTokenSource cancelled) : MemoryStream
        {
            private int _reads;

            public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
            {
                if (++_reads == 20) cancelled.Cancel();
                for (var i = 0; i < buffer.Length; i++) buffer.Span[i] = i % 50 == 49 ? (byte)'\n' : (byte)'x';
                return ValueTask.FromResult(buffer.Length);
            }
        }
    }

    private sealed class Ignored : ISelectSink
    {
        public ValueTask WriteRecordsAsync(ReadOnlyMemory<byte> records, CancellationToken ct) => ValueTask.CompletedTask;

        public ValueTask ReportAsync(SelectProgress progress, CancellationToken ct) => ValueTask.CompletedTask;
    }
}
