using System.Net;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>What nodes say, and of what kind it is. The texts are those of Kubo and js-ipfs.</summary>
public sealed class KuboFailuresTests
{
    [Theory]
    [InlineData(500, "file does not exist", BackendError.NotFound)]
    [InlineData(500, "cp: cannot put node in path : file does not exist", BackendError.NotFound)]
    [InlineData(500, "destination did not exist, pass -p to create intermediate directories", BackendError.NotFound)]
    [InlineData(500, "cannot access : Not a directory", BackendError.NotFound)]
    [InlineData(500, "not pinned or pinned indirectly", BackendError.NotFound)]
    [InlineData(500, "block was not found locally (offline): ipld: could not find ", BackendError.Damaged)]
    [InlineData(500, "block in storage has different hash than requested", BackendError.Damaged)]
    [InlineData(500, "write /data/ipfs/blocks/put-1: no space left on device", BackendError.Full)]
    [InlineData(500, "ENOSPC: no space left on device, write", BackendError.Full)]
    [InlineData(500, "maximum storage limit exceeded. Try to unpin some files", BackendError.Full)]
    [InlineData(500, "open /data/ipfs/blocks/put-1: read-only file system", BackendError.AccessDenied)]
    [InlineData(500, "open /data/ipfs/blocks/put-1: permission denied", BackendError.AccessDenied)]
    [InlineData(500, "context deadline exceeded", BackendError.Unavailable)]
    [InlineData(500, "", BackendError.Unavailable)]
    [InlineData(400, "argument \"path\" is required", BackendError.Refused)]
    [InlineData(401, "", BackendError.AccessDenied)]
    [InlineData(403, "Kubo RPC Access Denied: Please provide a valid authorization token as defined in the API.Authorizations configuration.", BackendError.AccessDenied)]
    [InlineData(404, "404 page not found", BackendError.PlaceMissing)]
    [InlineData(405, "405 - Method Not Allowed", BackendError.PlaceMissing)]
    [InlineData(301, "", BackendError.Refused)]
    [InlineData(413, "", BackendError.Refused)]
    [InlineData(429, "", BackendError.Throttled)]
    [InlineData(502, "", BackendError.Unavailable)]
    [InlineData(503, "file does not exist", BackendError.Unavailable)]
    [InlineData(507, "", BackendError.Full)]
    // Behind an answer that had begun.
    [InlineData(200, "unexpected EOF", BackendError.Unavailable)]
    [InlineData(200, "can't remove some files \"/a: file does not exist\"", BackendError.NotFound)]
    public void An_answer_is_of_a_kind(int status, string text, BackendError expected) => Assert.Equal(expected, KuboFailures.ErrorOf((HttpStatusCode)status, text));

    [Theory]
    [InlineData("""{"Message":"file does not exist","Code":0,"Type":"error"}""", "file does not exist")]
    [InlineData("<html>Bad Gateway", "<html>Bad Gateway")]
    [InlineData("""{"Message":7}""", """{"Message":7}""")]
    [InlineData("[]", "[]")]
    [InlineData("", "")]
    public void A_message_is_found_where_there_is_one(string answer, string expected) => Assert.Equal(expected, KuboFailures.MessageOf(answer));
}
