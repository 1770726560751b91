using System.Buffers;
using System.Text;

namespace DarkStorage.ClientApi.S3;

/// <summary>The body of an answer that is an error.</summary>
internal static class S3ErrorXml
{
    /// <param name="resource">The bucket or object asked for: the path of the request.</param>
    /// <param name="hostId">What else finds the request in our logs.</param>
    public static void Write(IBufferWriter<byte> output, S3Exception error, string resource, string requestId, string hostId)
    {
        var xml = new S3XmlWriter(output);
        xml.StartBareDocument("Error"u8);
        xml.Element("Code"u8, error.Error.Code);
        xml.Element("Message"u8, error.Message);
        foreach (var (name, value) in error.Fields) xml.Element(Encoding.UTF8.GetBytes(name), value);
        xml.Element("Resource"u8, resource);
        xml.Element("RequestId"u8, requestId);
        xml.Element("HostId"u8, hostId);
        xml.End("Error"u8);
        xml.Complete();
    }
}
