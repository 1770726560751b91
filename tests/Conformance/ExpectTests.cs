using System.Text;

namespace DarkStorage.Conformance;

/// <summary>Expect: 100-continue. A client that gets its answer instead of being told to go on must not use the connection again: botocore
/// reads the next answer wrong then, and waits for ever.</summary>
[Trait("index", "none")]
public sealed class ExpectTests(NodeFixture node)
{
    [Fact]
    public async Task An_empty_object_put_with_Expect_is_stored_and_the_connection_closed()
    {
        var bucket = await node.Client.NewBucketAsync();
        var answer = await SendAsync(node.Raw.Presign("PUT", $"/{bucket}/empty", TimeSpan.FromMinutes(1)), length: 0);
        Assert.Equal((200, "close"), (answer.Status, answer.Header("Connection")));
        Assert.Empty(await node.Client.GetBytesAsync(bucket, "empty"));
    }

    [Fact]
    public async Task A_refusal_before_the_body_closes_the_connection()
    {
        var answer = await SendAsync("/some-bucket/key", length: 5);
        Assert.Equal((404, "NoSuchBucket"), answer.Error);
        Assert.Equal("close", answer.Header("Connection"));
    }

    private Task<RawAnswer> SendAsync(string target, int length) => node.Raw.SendBytesAsync(Encoding.ASCII.GetBytes(
        $"PUT {target} HTTP/1.1\r\nHost: {node.Node.S3Url.Authority}\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"));
}
