using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>What of a request its signature is about.</summary>
/// <param name="Method">Upper case, as on the request line.</param>
/// <param name="Headers">Decoded as UTF-8, which is Kestrel's default; the host is among them.</param>
internal readonly record struct SignedRequest(string Method, S3Target Target, IHeaderDictionary Headers);
