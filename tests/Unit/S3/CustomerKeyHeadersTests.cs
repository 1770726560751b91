using System.Net;
using System.Security.Cryptography;
using DarkStorage.ClientApi.S3;
using DarkStorage.ClientApi.S3.Operations;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace DarkStorage.Unit.S3;

/// <summary>From where a customer's key is taken.</summary>
public sealed class CustomerKeyHeadersTests
{
    private static readonly byte[] Key = SHA256.HashData("key"u8);

    [Theory]
    [InlineData("192.0.2.1", false, false, false)]
    [InlineData("2001:db8::1", false, false, false)]
    [InlineData(null, false, false, false)]
    [InlineData("192.0.2.1", true, false, true)]
    [InlineData("192.0.2.1", false, true, true)]
    [InlineData("127.0.0.1", false, false, true)]
    [InlineData("::1", false, false, true)]
    [InlineData("::ffff:127.0.0.1", false, false, true)]
    public void A_key_is_taken_over_TLS_from_this_machine_or_where_the_node_is_told_so(string? from, bool tls, bool allowed, bool taken)
    {
        var http = new DefaultHttpContext();
        http.Connection.RemoteIpAddress = from is null ? null : IPAddress.Parse(from);
        http.Request.IsHttps = tls;
        http.Request.Headers[CustomerKeyHeaders.OfRequest + "algorithm"] = "AES256";
        http.Request.Headers[CustomerKeyHeaders.OfRequest + "key"] = Convert.ToBase64String(Key);
        http.Request.Headers[CustomerKeyHeaders.OfRequest + "key-MD5"] = Convert.ToBase64String(MD5.HashData(Key));
        var services = new S3Services(null!, null!, null!, null!, null!, null!, new() { AllowCustomerKeysOverHttp = allowed }, TimeProvider.System, null!, null!, null!, null!);
        var request = new S3Request(http, S3Target.Parse("/bucket/key", "host", []), services, Caller.Anonymous, SigningContext.Anonymous(http.Request.Headers));
        if (taken)
        {
            using var key = CustomerKeyHeaders.Read(request, CustomerKeyHeaders.OfRequest);
            Assert.Equal(Key, key!.Bytes);
        }
        else
        {
            Assert.Equal(S3Error.InvalidRequest, Assert.Throws<S3Exception>(() => CustomerKeyHeaders.Read(request, CustomerKeyHeaders.OfRequest)).Error);
        }
    }
}
