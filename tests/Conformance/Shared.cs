global using System.Net;
global using System.Text;
global using Amazon.S3;
global using Amazon.S3.Model;
global using DarkStorage.TestKit;
global using Xunit;

[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
[assembly: AssemblyFixture(typeof(NodeFixture))]
[assembly: AssemblyFixture(typeof(DarkStorage.Conformance.ForeignNodeFixture))]

namespace DarkStorage.Conformance;

/// <summary>A second node, in another region and with a domain for virtual-host style requests.</summary>
public sealed class ForeignNodeFixture : NodeFixture
{
    public const string Region = "eu-central-1";

    protected override NodeSettings Settings => new() { Region = Region, Domain = "s3.example.test" };
}

internal static class Refused
{
    /// <summary>Asserts that a call of the SDK fails with S3's code and status.</summary>
    public static async Task<AmazonS3Exception> WithAsync(string code, HttpStatusCode status, Func<Task> call)
    {
        var refused = await Assert.ThrowsAnyAsync<AmazonS3Exception>(call);
        Assert.Equal((code, status), (refused.ErrorCode, refused.StatusCode));
        return refused;
    }
}
