using System.Globalization;
using System.IO.Compression;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace DarkStorage.Conformance;

/// <summary>SelectObjectContent as clients use it.</summary>
[Trait("index", "none")]
public sealed class SelectTests(NodeFixture fixture)
{
    private const string People = "id,name\n1,Ann\n2,Bob\n3,Cy\n";

    private const string CsvDocument = """
        <SelectObjectContentRequest xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Expression>SELECT s.name FROM S3Object s</Expression><ExpressionType>SQL</ExpressionType>
        <InputSerialization><CSV><FileHeaderInfo>USE</FileHeaderInfo></CSV></InputSerialization><OutputSerialization><CSV/></OutputSerialization></SelectObjectContentRequest>
        """;

    private AmazonS3Client S3 => fixture.Client;

    private RawS3 Raw => fixture.Raw;

    [Fact]
    public async Task The_SDK_gets_records_stats_and_end()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "people", People);
        var events = await SelectAsync(S3, Csv(bucket, "people", "SELECT s.name FROM S3Object s WHERE s.id > 1"));
        Assert.Equal("Bob\nCy\n", events.Records);
        Assert.Equal((People.Length, People.Length, "Bob\nCy\n".Length), ((int)events.Stats!.BytesScanned, (int)events.Stats.BytesProcessed, (int)events.Stats.BytesReturned));
        Assert.True(events.Ended);

        var asked = Csv(bucket, "people", "SELECT COUNT(*) AS n FROM S3Object");
        asked.OutputSerialization = new() { JSON = new() };
        asked.RequestProgress = true;
        Assert.Equal(("{\"n\":3}\n", true), (await SelectAsync(S3, asked)) is var told ? (told.Records, told.Progress > 0) : default);
    }

    [Fact]
    public async Task The_command_line_gets_a_file()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "lines", "{\"a\":1}\n{\"a\":2}\n");
        var file = Path.GetTempFileName();
        try
        {
            await new AwsCli(fixture.Node).RunAsync("s3api", "select-object-content", "--bucket", bucket, "--key", "lines", "--expression", "SELECT s.a * 10 AS b FROM S3Object s", "--expression-type", "SQL",
                "--input-serialization", "{\"JSON\":{\"Type\":\"LINES\"}}", "--output-serialization", "{\"JSON\":{}}", file);
            Assert.Equal("{\"b\":10}\n{\"b\":20}\n", await File.ReadAllTextAsync(file));
        }
        finally
        {
            File.Delete(file);
        }
        var refused = await Assert.ThrowsAsync<AwsCliException>(() => new AwsCli(fixture.Node).RunAsync("s3api", "select-object-content", "--bucket", bucket, "--key", "lines", "--expression", "SELECT FROM",
            "--expression-type", "SQL", "--input-serialization", "{\"JSON\":{\"Type\":\"LINES\"}}", "--output-serialization", "{\"JSON\":{}}", "/dev/null"));
        Assert.Contains("ParseEmptySelect", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Queries_are_so_many_at_one_time_and_one_more_is_told_to_come_again()
    {
        await using var small = await NodeProcess.StartAsync(new() { Environment = new Dictionary<string, string> { ["DARKSTORAGE_S3__QueriesMax"] = "1", ["DARKSTORAGE_S3__QueryWait"] = "00:00:00" } });
        using var s3 = small.S3();
        var bucket = await s3.NewBucketAsync();
        // An answer that no buffer on the way holds: the query stands still until it is read.
        await s3.PutObjectAsync(new() { BucketName = bucket, Key = "large", InputStream = new MemoryStream(System.Text.Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat(new string('x', 1023) + "\n", 64 << 10)))) });
        var standing = await s3.SelectObjectContentAsync(Csv(bucket, "large", "SELECT * FROM S3Object"));
        using (standing.Payload)
        {
            var refused = await Assert.ThrowsAsync<AmazonS3Exception>(() => s3.SelectObjectContentAsync(Csv(bucket, "large", "SELECT COUNT(*) FROM S3Object")));
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "Busy"), (refused.StatusCode, refused.ErrorCode));
        }
        while (true)
        {
            try
            {
                Assert.Equal("65535\n", (await SelectAsync(s3, Csv(bucket, "large", "SELECT COUNT(*) FROM S3Object"))).Records);
                return;
            }
            catch (AmazonS3Exception e) when (e.ErrorCode == "Busy")
            {
                // until the node has seen that nobody reads the first any more
            }
        }
    }

    [Fact]
    public async Task A_large_object_streams_and_the_node_stays_small()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("Only Linux tells a process's largest resident set.");
        const int Bytes = 64 << 20;
        const int Line = 64;
        await using var node = await NodeProcess.StartAsync();
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        var content = new byte[Bytes];
        for (var i = 0; i < Bytes / Line; i++)
        {
            content.AsSpan(i * Line, Line).Fill((byte)'x');
            Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{i:D8},{i % 10},")).CopyTo(content, i * Line);
            content[(i * Line) + Line - 1] = (byte)'\n';
        }
        await s3.PutBytesAsync(bucket, "large", content);
        await SelectAsync(s3, Csv(bucket, "large", "SELECT COUNT(*) FROM S3Object LIMIT 1", FileHeaderInfo.None));
        var before = node.ResidentBytesPeak();
        var few = await SelectAsync(s3, Csv(bucket, "large", "SELECT COUNT(*), SUM(_1), MAX(_1) FROM S3Object WHERE _2 = '7'", FileHeaderInfo.None));
        Assert.Equal(Expected(), few.Records);
        var all = await SelectAsync(s3, Csv(bucket, "large", "SELECT * FROM S3Object", FileHeaderInfo.None));
        Assert.True(content.Same(Encoding.ASCII.GetBytes(all.Records)));
        Assert.Equal(Bytes, all.Stats!.BytesReturned);
        Assert.InRange(node.ResidentBytesPeak() - before, 0, 48L << 20);

        static string Expected()
        {
            var wanted = Enumerable.Range(0, Bytes / Line).Where(i => i % 10 == 7).ToArray();
            return string.Create(CultureInfo.InvariantCulture, $"{wanted.Length},{wanted.Sum(i => (long)i)},{wanted.Max():D8}\n");
        }
    }

    [Fact]
    public async Task LIMIT_reads_no_further_than_it_has_to()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutBytesAsync(bucket, "large", Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("0123456789abcdef\n", 1 << 20))));
        var events = await SelectAsync(S3, Csv(bucket, "large", "SELECT * FROM S3Object LIMIT 3", FileHeaderInfo.None));
        Assert.Equal(51, events.Records.Length);
        Assert.InRange(events.Stats!.BytesScanned, 51, 1 << 20);
    }

    [Fact]
    public async Task Encrypted_compressed_and_inline_content_is_opened()
    {
        var bucket = await S3.NewBucketAsync();
        var csv = "id,name\n" + string.Concat(Enumerable.Range(0, 20_000).Select(i => $"{i},name-{i}\n"));
        using var memory = new MemoryStream();
        await using (var gzip = new GZipStream(memory, CompressionLevel.Fastest, leaveOpen: true)) await gzip.WriteAsync(Encoding.UTF8.GetBytes(csv));
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "sealed", ContentBody = csv, ServerSideEncryptionMethod = ServerSideEncryptionMethod.AES256 });
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "packed", InputStream = new MemoryStream(memory.ToArray()), ServerSideEncryptionMethod = ServerSideEncryptionMethod.AES256 });
        const string Sql = "SELECT s.name FROM S3Object s WHERE s.id = '19999'";
        Assert.Equal("name-19999\n", (await SelectAsync(S3, Csv(bucket, "sealed", Sql))).Records);
        var packed = Csv(bucket, "packed", Sql);
        packed.InputSerialization.CompressionType = CompressionType.Gzip;
        Assert.Equal("name-19999\n", (await SelectAsync(S3, packed)).Records);

        var key = Convert.ToBase64String(SHA256.HashData("the customer's key"u8));
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "theirs", ContentBody = People, ServerSideEncryptionCustomerMethod = ServerSideEncryptionCustomerMethod.AES256, ServerSideEncryptionCustomerProvidedKey = key });
        var theirs = Csv(bucket, "theirs", "SELECT * FROM S3Object LIMIT 1");
        await Refused.WithAsync("InvalidRequest", HttpStatusCode.BadRequest, () => S3.SelectObjectContentAsync(theirs));
        (theirs.ServerSideCustomerEncryptionMethod, theirs.ServerSideEncryptionCustomerProvidedKey) = (ServerSideEncryptionCustomerMethod.AES256, key);
        theirs.ServerSideEncryptionCustomerProvidedKeyMD5 = Convert.ToBase64String(MD5.HashData(Convert.FromBase64String(key)));
        Assert.Equal("1,Ann\n", (await SelectAsync(S3, theirs)).Records);
    }

    [Fact]
    public async Task The_current_version_is_asked_and_a_marker_is_none()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        await S3.PutTextAsync(bucket, "key", "a\n1\n");
        await S3.PutTextAsync(bucket, "key", "a\n2\n");
        Assert.Equal("2\n", (await SelectAsync(S3, Csv(bucket, "key", "SELECT a FROM S3Object"))).Records);
        await S3.DeleteObjectAsync(bucket, "key");
        Assert.Equal((404, "NoSuchKey"), (await Raw.PostAsync($"/{bucket}/key?select&select-type=2", CsvDocument)).Error);
    }

    [Fact]
    public async Task Who_may_not_read_may_not_ask()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "people", People);
        var user = await fixture.Node.NewUserAsync();
        Assert.Equal((403, "AccessDenied"), (await fixture.Node.Raw(user).PostAsync($"/{bucket}/people?select&select-type=2", CsvDocument)).Error);
        await S3.PutBucketPolicyAsync(bucket, $$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{{bucket}}/*"}]}""");
        Assert.Equal("Ann\nBob\nCy\n", (await SelectAsync(fixture.Node.S3(user), Csv(bucket, "people", "SELECT name FROM S3Object"))).Records);
        // Who has no name may read now, and may not ask: AWS has no anonymous queries.
        Assert.Equal((403, "AccessDenied"), (await fixture.Node.AnonymousAsync("POST", $"/{bucket}/people?select&select-type=2", CsvDocument)).Error);
    }

    [Theory]
    [InlineData("", "", "EmptyRequestBody")]
    [InlineData("</Expression>", "", "MalformedXML")]
    [InlineData("<CSV>", "<CSV><Colour>red</Colour>", "MalformedXML")]
    [InlineData("<ExpressionType>SQL</ExpressionType>", "", "MissingRequiredParameter")]
    [InlineData(">SQL<", ">XPath<", "InvalidExpressionType")]
    [InlineData("<OutputSerialization><CSV/></OutputSerialization>", "", "MissingRequiredParameter")]
    [InlineData("<CSV/>", "<CSV/><JSON/>", "ObjectSerializationConflict")]
    [InlineData("<CSV/>", "<CSV><QuoteFields>SOMETIMES</QuoteFields></CSV>", "InvalidQuoteFields")]
    [InlineData(">USE<", ">MAYBE<", "InvalidFileHeaderInfo")]
    [InlineData("<CSV><FileHeaderInfo>USE</FileHeaderInfo></CSV>", "<JSON><Type>TREE</Type></JSON>", "InvalidJsonType")]
    [InlineData("<CSV><FileHeaderInfo>USE</FileHeaderInfo></CSV>", "<Parquet/>", "InvalidDataSource")]
    [InlineData("<InputSerialization>", "<InputSerialization><CompressionType>RAR</CompressionType>", "InvalidCompressionFormat")]
    [InlineData("<CSV>", "<CSV><FieldDelimiter>ab</FieldDelimiter>", "InvalidRequestParameter")]
    [InlineData("</ExpressionType>", "</ExpressionType><ScanRange><Start>9</Start><End>1</End></ScanRange>", "InvalidScanRange")]
    [InlineData("SELECT s.name", "SELECT s.nobody", "MissingHeaders")]
    [InlineData("SELECT s.name", "SELECT s[x]", "ParseInvalidPathComponent")]
    [InlineData("SELECT s.name", "SELECT s.name!", "LexerInvalidOperator")]
    [InlineData("SELECT s.name", "SELECT MEDIAN(s.name)", "UnsupportedFunction")]
    [InlineData("SELECT s.name", "SELECT CAST(s.name AS INT)", "CastFailed")]
    public async Task What_is_asked_wrongly_is_refused_by_code(string part, string instead, string code)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "people", People);
        var answer = await Raw.PostAsync($"/{bucket}/people?select&select-type=2", part.Length == 0 ? "" : CsvDocument.Replace(part, instead, StringComparison.Ordinal));
        Assert.Equal((400, code), answer.Error);
    }

    [Fact]
    public async Task What_goes_wrong_after_the_first_records_is_a_message()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "v\n" + string.Concat(Enumerable.Repeat("1234567890\n", 100_000)) + "x\n");
        var answer = await Raw.PostAsync($"/{bucket}/key?select&select-type=2", CsvDocument.Replace("s.name", "CAST(s.v AS INT)", StringComparison.Ordinal));
        Assert.Equal((200, "application/vnd.amazon.eventstream"), (answer.Status, answer.Header("Content-Type")));
        var messages = Messages(answer.Body);
        Assert.Contains(messages, m => m.Headers.GetValueOrDefault(":event-type") == "Records" && m.Payload.Length > 0);
        Assert.Equal(("error", "CastFailed"), (messages[^1].Headers[":message-type"], messages[^1].Headers[":error-code"]));
        Assert.DoesNotContain(messages, m => m.Headers.GetValueOrDefault(":event-type") == "End");
    }

    [Fact]
    public async Task A_client_that_leaves_in_the_middle_disturbs_nobody()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutBytesAsync(bucket, "large", Encoding.ASCII.GetBytes("name\n" + string.Concat(Enumerable.Repeat("0123456789abcdef\n", 1 << 20))));
        for (var i = 0; i < 3; i++)
        {
            var target = Raw.Presign("POST", $"/{bucket}/large?select&select-type=2", TimeSpan.FromMinutes(5));
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(fixture.Node.S3Url.Host, fixture.Node.S3Url.Port);
            await socket.SendAsync(Encoding.UTF8.GetBytes($"POST {target} HTTP/1.1\r\nHost: {Raw.Host}\r\nContent-Length: {CsvDocument.Length}\r\n\r\n{CsvDocument}"));
            var first = new byte[1000];
            Assert.True(await socket.ReceiveAsync(first) > 0);
            Assert.StartsWith("HTTP/1.1 200", Encoding.ASCII.GetString(first), StringComparison.Ordinal);
            socket.Close(0);
        }
        Assert.Equal("1048576\n", (await SelectAsync(S3, Csv(bucket, "large", "SELECT COUNT(*) FROM S3Object"))).Records);
    }

    private static SelectObjectContentRequest Csv(string bucket, string key, string sql, FileHeaderInfo? header = null) => new()
    {
        BucketName = bucket, Key = key, Expression = sql, ExpressionType = ExpressionType.SQL,
        InputSerialization = new() { CSV = new() { FileHeaderInfo = header ?? FileHeaderInfo.Use } },
        OutputSerialization = new() { CSV = new() },
    };

    private static async Task<(string Records, Stats? Stats, int Progress, bool Ended)> SelectAsync(AmazonS3Client s3, SelectObjectContentRequest request)
    {
        var answer = await s3.SelectObjectContentAsync(request);
        using var payload = answer.Payload;
        using var records = new MemoryStream();
        var (stats, progress, ended) = ((Stats?)null, 0, false);
        foreach (var message in payload)
        {
            switch (message)
            {
                case RecordsEvent e:
                    await e.Payload.CopyToAsync(records);
                    break;
                case StatsEvent e:
                    stats = e.Details;
                    break;
                case ProgressEvent:
                    progress++;
                    break;
                case EndEvent:
                    ended = true;
                    break;
            }
        }
        return (Encoding.UTF8.GetString(records.ToArray()), stats, progress, ended);
    }

    /// <summary>The messages of an answer, their checksums verified.</summary>
    private static List<(Dictionary<string, string> Headers, byte[] Payload)> Messages(byte[] body)
    {
        var messages = new List<(Dictionary<string, string>, byte[])>();
        for (var at = 0; at < body.Length;)
        {
            var total = Int32(body, at);
            var headersEnd = at + 12 + Int32(body, at + 4);
            Assert.Equal(Crc32(body.AsSpan(at, 8)), (uint)Int32(body, at + 8));
            Assert.Equal(Crc32(body.AsSpan(at, total - 4)), (uint)Int32(body, at + total - 4));
            var headers = new Dictionary<string, string>();
            for (var i = at + 12; i < headersEnd;)
            {
                var name = Encoding.UTF8.GetString(body, i + 1, body[i]);
                i += 1 + body[i];
                Assert.Equal(7, body[i]);
                var length = (body[i + 1] << 8) | body[i + 2];
                headers[name] = Encoding.UTF8.GetString(body, i + 3, length);
                i += 3 + length;
            }
            messages.Add((headers, body[headersEnd..(at + total - 4)]));
            at += total;
        }
        return messages;

        static int Int32(byte[] bytes, int at) => System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(at));
    }

    /// <summary>Bit by bit, so that it is not our own table that is compared with itself.</summary>
    private static uint Crc32(ReadOnlySpan<byte> bytes)
    {
        var crc = 0xFFFFFFFFu;
        foreach (var b in bytes)
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320u & (uint)-(int)(crc & 1));
        }
        return ~crc;
    }
}
