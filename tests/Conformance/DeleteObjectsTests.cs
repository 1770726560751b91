using System.Security.Cryptography;

namespace DarkStorage.Conformance;

public sealed class DeleteObjectsTests(NodeFixture node)
{
    private AmazonS3Client S3 => node.Client;

    [Fact]
    public async Task A_thousand_keys_go_in_one_request_there_or_not_and_only_they_go()
    {
        var bucket = await S3.NewBucketAsync();
        var keys = Enumerable.Range(0, 1000).Select(i => $"k/{i:0000}").ToList();
        await Parallel.ForEachAsync(keys.Where((_, i) => i % 5 == 0).Append("kept"), async (key, _) => await S3.PutTextAsync(bucket, key, "x"));
        var answer = await S3.DeleteObjectsAsync(new() { BucketName = bucket, Objects = keys.ConvertAll(k => new KeyVersion { Key = k }) });
        Assert.Equal(keys, answer.DeletedObjects.Select(d => d.Key));
        Assert.Equal("kept", Assert.Single((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects).Key);
    }

    [Fact]
    public async Task A_quiet_request_answers_only_what_failed()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        var answer = await DeleteAsync(bucket, $"<Delete><Quiet>true</Quiet><Object><Key>key</Key></Object><Object><Key>{new string('k', 1025)}</Key></Object></Delete>");
        Assert.Equal(200, answer.Status);
        Assert.Empty(answer.Elements("Deleted"));
        Assert.Equal(["KeyTooLongError"], answer.Elements("Code"));
        Assert.Equal(404, (await node.Raw.HeadAsync($"/{bucket}/key")).Status);
    }

    [Fact]
    public async Task Keys_with_characters_that_XML_escapes_are_deleted_exactly()
    {
        var bucket = await S3.NewBucketAsync();
        string[] keys = ["a&b", "a<b>", "a\"b'", "a  b", " a ", "ü🌍", "a%2Fb", "a/b"];
        foreach (var key in keys) await S3.PutTextAsync(bucket, key, "x");
        foreach (var key in keys)
        {
            var answer = await S3.DeleteObjectsAsync(new() { BucketName = bucket, Objects = [new() { Key = key }] });
            Assert.Equal(key, Assert.Single(answer.DeletedObjects).Key);
            Assert.DoesNotContain(key, ((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects ?? []).Select(o => o.Key));
        }
        Assert.Empty((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects ?? []);
    }

    [Theory]
    [InlineData("")]
    [InlineData("<Delete>")]
    [InlineData("<Delete></Delete>")]
    [InlineData("<Delete><Object></Object></Delete>")]
    [InlineData("<Delete><Object><Key></Key></Object></Delete>")]
    [InlineData("<Remove><Object><Key>key</Key></Object></Remove>")]
    [InlineData("<!DOCTYPE d [<!ENTITY e \"key\">]><Delete><Object><Key>&e;</Key></Object></Delete>")]
    [InlineData("not xml")]
    public async Task A_document_that_is_no_such_request_is_malformed_and_deletes_nothing(string document)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        var answer = await DeleteAsync(bucket, document);
        Assert.Equal(400, answer.Status);
        Assert.Contains(answer.Code, (string[])["MalformedXML", "MissingRequestBodyError"]);
        Assert.Equal("x", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_thousand_and_one_keys_are_too_many()
    {
        var bucket = await S3.NewBucketAsync();
        var objects = string.Concat(Enumerable.Range(0, 1001).Select(i => $"<Object><Key>{i}</Key></Object>"));
        Assert.Equal((400, "MalformedXML"), (await DeleteAsync(bucket, $"<Delete>{objects}</Delete>")).Error);
    }

    [Theory]
    [InlineData("Content-MD5")]
    [InlineData("x-amz-checksum-crc32")]
    [InlineData("x-amz-checksum-sha256")]
    public async Task A_digest_that_does_not_match_the_document_deletes_nothing(string header)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        var other = "another document"u8;
        var digest = header switch { "Content-MD5" => Convert.ToBase64String(MD5.HashData(other)), _ => Checksums.Base64(header["x-amz-checksum-".Length..].ToUpperInvariant(), other) };
        var answer = await node.Raw.SendAsync(new RawRequest("POST", $"/{bucket}?delete").With(header, digest).WithBody("<Delete><Object><Key>key</Key></Object></Delete>"));
        Assert.Equal((400, "BadDigest"), answer.Error);
        Assert.Equal("x", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task An_MD5_that_is_none_is_invalid()
    {
        var bucket = await S3.NewBucketAsync();
        var answer = await node.Raw.SendAsync(new RawRequest("POST", $"/{bucket}?delete").With("Content-MD5", "none").WithBody("<Delete><Object><Key>key</Key></Object></Delete>"));
        Assert.Equal((400, "InvalidDigest"), answer.Error);
    }

    private Task<RawAnswer> DeleteAsync(string bucket, string document)
    {
        var body = Encoding.UTF8.GetBytes(document);
        return node.Raw.SendAsync(new RawRequest("POST", $"/{bucket}?delete").With("Content-MD5", Convert.ToBase64String(MD5.HashData(body))).WithBody(body));
    }
}
