using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using System.Xml;
using System.Xml.Linq;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using Xunit;

namespace DarkStorage.Unit.S3;

public sealed class S3XmlTests(ITestOutputHelper output)
{
    public static TheoryData<int> Seeds => [1, 2, 3, Random.Shared.Next()];

    [Fact]
    public async Task A_body_that_is_too_long_is_left_so_that_the_server_can_read_on()
    {
        var pipe = new Pipe();
        await pipe.Writer.WriteAsync(new byte[100]);
        Assert.Equal(S3Error.MaxMessageLengthExceeded, (await Assert.ThrowsAsync<S3Exception>(() => S3XmlReader.ReadBodyAsync(pipe.Reader, 99, CancellationToken.None))).Error);
        await pipe.Writer.CompleteAsync();
        Assert.True((await pipe.Reader.ReadAsync()).IsCompleted);
    }

    [Fact]
    public void A_document_is_written_as_S3_writes_it()
    {
        var text = Written(xml =>
        {
            xml.StartDocument("ListBucketResult"u8);
            xml.Element("Name"u8, "a & b < c > \"d\" é 🚀");
            xml.Element("MaxKeys"u8, -1000L);
            xml.Element("IsTruncated"u8, true);
            xml.Element("LastModified"u8, new DateTimeOffset(2013, 5, 24, 2, 3, 4, 56, TimeSpan.FromHours(2)));
            xml.ETag("abc-2");
            xml.Element("Empty"u8, (string?)null);
            xml.Key("Key"u8, "a b/c+d\u0001é", urlEncoded: true);
            xml.Key("Key"u8, "\u0001\r\n\t\uffff", urlEncoded: false);
            xml.End("ListBucketResult"u8);
        });
        Assert.Equal("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            + "<Name>a &amp; b &lt; c &gt; &quot;d&quot; é 🚀</Name><MaxKeys>-1000</MaxKeys><IsTruncated>true</IsTruncated>"
            + "<LastModified>2013-05-24T00:03:04.056Z</LastModified><ETag>&quot;abc-2&quot;</ETag><Empty></Empty>"
            + "<Key>a%20b/c%2Bd%01%C3%A9</Key><Key>&#x1;&#xd;&#xa;&#x9;&#xffff;</Key></ListBucketResult>", text);
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Any_text_comes_back_through_a_parser_and_through_the_url_encoding(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var i = 0; i < 300; i++)
        {
            var text = Arbitrary(random, random.Next(i % 10 == 0 ? 5000 : 100));
            var document = Written(xml =>
            {
                xml.StartBareDocument("r"u8);
                xml.Element("a"u8, text);
                xml.Key("b"u8, text, urlEncoded: true);
                xml.End("r"u8);
            });
            using var lenient = XmlReader.Create(new StringReader(document), new XmlReaderSettings { CheckCharacters = false });
            var root = XDocument.Load(lenient, LoadOptions.PreserveWhitespace).Root!;
            Assert.Equal(text, root.Element("a")!.Value);
            Assert.Equal(text, Uri.UnescapeDataString(root.Element("b")!.Value));
            Assert.Equal(text, System.Net.WebUtility.UrlDecode(root.Element("b")!.Value));   // which takes + for a space
        }
    }

    [Fact]
    public void An_error_has_its_code_its_message_and_its_fields()
    {
        var buffer = new ArrayBufferWriter<byte>();
        S3ErrorXml.Write(buffer, new S3Exception(S3Error.NoSuchKey).With("Key", "a<b"), "/bucket/a<b", "request", "host");
        Assert.Equal("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
            + "<Key>a&lt;b</Key><Resource>/bucket/a&lt;b</Resource><RequestId>request</RequestId><HostId>host</HostId></Error>", Encoding.UTF8.GetString(buffer.WrittenSpan));
    }

    [Fact]
    public void Every_error_of_the_domain_has_one_of_S3()
    {
        foreach (var error in Enum.GetValues<StorageError>())
        {
            var mapped = error.ToS3();
            Assert.NotEmpty(mapped.Code);
            Assert.True((int)mapped.Status >= 400);
            Assert.Same(mapped, new StorageException(error, "drive /mnt/3 of node b").ToS3().Error);
        }
        Assert.DoesNotContain("drive", new StorageException(StorageError.DataDamaged, "drive /mnt/3 of node b").ToS3().Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_code_of_S3_is_in_the_table_twice()
    {
        var codes = typeof(S3Error).GetFields().Where(f => f.IsStatic).Select(f => ((S3Error)f.GetValue(null)!).Code).ToArray();
        Assert.Equal(codes.Distinct(), codes);
    }

    [Fact]
    public void A_completion_names_its_parts_in_order()
    {
        var parts = CompleteMultipartUploadRequest.Parse(Encoding.UTF8.GetBytes(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- hello --><CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n"
            + "<Part><PartNumber>2</PartNumber><ETag>&quot;aa&quot;</ETag><ChecksumCRC32>AAAAAQ==</ChecksumCRC32></Part>\n <Part><ETag>bb</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>\n"));
        Assert.Equal([new(2, "aa", new(ChecksumAlgorithm.Crc32, ChecksumType.FullObject, [0, 0, 0, 1])), new(1, "bb", null)], parts);
    }

    [Theory]
    [InlineData("<CompleteMultipartUpload/>", "MalformedXML")]
    [InlineData("<CompleteMultipartUpload></CompleteMultipartUpload>", "MalformedXML")]
    [InlineData("<Complete><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></Complete>", "MalformedXML")]
    [InlineData("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>", "MalformedXML")]
    [InlineData("<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>", "MalformedXML")]
    [InlineData("<CompleteMultipartUpload><Part><PartNumber>0</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>", "InvalidArgument")]
    [InlineData("<CompleteMultipartUpload><Part><PartNumber>10001</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>", "InvalidArgument")]
    [InlineData("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag><More/></Part></CompleteMultipartUpload>", "MalformedXML")]
    [InlineData("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumSHA1>AA==</ChecksumSHA1></Part></CompleteMultipartUpload>", "InvalidRequest")]
    [InlineData("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>", "MalformedXML")]
    [InlineData("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload><more/>", "MalformedXML")]
    [InlineData("<!DOCTYPE x [<!ENTITY a \"b\">]><CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&a;</ETag></Part></CompleteMultipartUpload>", "MalformedXML")]
    [InlineData("", "MalformedXML")]
    [InlineData("{}", "MalformedXML")]
    public void A_wrong_completion_has_the_code_that_AWS_gives_it(string document, string code) =>
        Assert.Equal(code, Assert.Throws<S3Exception>(() => CompleteMultipartUploadRequest.Parse(Encoding.UTF8.GetBytes(document))).Error.Code);

    [Fact]
    public void A_deletion_names_any_key_there_is()
    {
        var request = DeleteObjectsRequest.Parse("<Delete><Quiet>true</Quiet><Object><Key> a&amp;b&#x1; </Key></Object><Object><VersionId>v1</VersionId><Key><![CDATA[<x>]]>é</Key></Object><Object><Key> </Key></Object></Delete>"u8.ToArray());
        Assert.True(request.Quiet);
        Assert.Equal([new(" a&b\u0001 ", null, null, null, null), new("<x>é", "v1", null, null, null), new(" ", null, null, null, null)], request.Objects);
    }

    [Fact]
    public void A_deletion_names_1000_keys_at_most()
    {
        static byte[] Of(int count) => Encoding.UTF8.GetBytes($"<Delete>{string.Concat(Enumerable.Repeat("<Object><Key>k</Key></Object>", count))}</Delete>");
        Assert.Equal(1000, DeleteObjectsRequest.Parse(Of(1000)).Objects.Length);
        foreach (var count in (int[])[0, 1001])
            Assert.Equal("MalformedXML", Assert.Throws<S3Exception>(() => DeleteObjectsRequest.Parse(Of(count))).Error.Code);
    }

    [Fact]
    public void A_new_bucket_may_name_its_region()
    {
        Assert.Equal("eu-west-1", CreateBucketRequest.ParseLocationConstraint("<CreateBucketConfiguration xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"u8.ToArray()));
        Assert.Null(CreateBucketRequest.ParseLocationConstraint([]));
        Assert.Null(CreateBucketRequest.ParseLocationConstraint("<CreateBucketConfiguration/>"u8.ToArray()));
        Assert.Equal("MalformedXML", Assert.Throws<S3Exception>(() => CreateBucketRequest.ParseLocationConstraint("<CreateBucketConfiguration><X/></CreateBucketConfiguration>"u8.ToArray())).Error.Code);
    }

    [Fact]
    public async Task A_body_past_its_limit_is_refused()
    {
        var bytes = new byte[1001];
        Assert.Equal(1001, (await S3XmlReader.ReadBodyAsync(PipeReader.Create(new MemoryStream(bytes)), 1001, default)).Length);
        var error = await Assert.ThrowsAsync<S3Exception>(() => S3XmlReader.ReadBodyAsync(PipeReader.Create(new MemoryStream(bytes)), 1000, default));
        Assert.Equal("MaxMessageLengthExceeded", error.Error.Code);
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Nonsense_is_answered_with_an_error_of_S3_and_nothing_else(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var good = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Delete><Quiet>true</Quiet><Object><Key>k&amp;&#x1;</Key><VersionId>v</VersionId></Object></Delete>"u8.ToArray();
        string[] words = ["<Delete>", "</Delete>", "<Object>", "</Object>", "<Key>", "</Key>", "<Quiet/>", "&amp;", "&#0;", "&#x110000;", "&lol;", "<!--", "-->", "<![CDATA[", "]]>", "<?x ?>", "<?xml version='1.0' encoding='utf-16'?>", "<!DOCTYPE a>", "\uFEFF", "\0", "é", "<a:b xmlns:a='c'>", "<a:b>", "<"];
        for (var i = 0; i < 3000; i++)
        {
            byte[] bytes;
            if (i % 2 == 0)
            {
                bytes = [.. good];
                for (var n = random.Next(1, 4); n > 0; n--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }
            else
            {
                var text = new StringBuilder("<Delete>");
                for (var n = random.Next(12); n > 0; n--) text.Append(words[random.Next(words.Length)]);
                bytes = Encoding.UTF8.GetBytes(text.ToString());
            }
            var failure = Record.Exception(() => DeleteObjectsRequest.Parse(bytes));
            Assert.True(failure is null or S3Exception, $"{Encoding.UTF8.GetString(bytes)}: {failure}");
        }
    }

    private static string Arbitrary(Random random, int length)
    {
        var text = new StringBuilder();
        while (text.Length < length)
            text.Append(random.Next(5) switch
            {
                0 => ((char)random.Next(1, 0x20)).ToString(),
                1 => "&<>\"'%+ /".Substring(random.Next(9), 1),
                2 => ((char)random.Next(0x80, 0xD800)).ToString(),
                3 => ((char)random.Next(0x20, 0x7F)).ToString(),
                _ => char.ConvertFromUtf32(random.Next(0x10000, 0x110000)),
            });
        return text.ToString();
    }

    private static string Written(Action<S3XmlWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var xml = new S3XmlWriter(buffer);
        write(xml);
        xml.Complete();
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
