using DarkStorage.Storage.Backends;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace DarkStorage.Connectors.Filecoin;

/// <summary>Answers as the public documentation has them, word for word (<c>documented.json</c>): what becomes of a put over another blob that gets them. They were never recorded from the live service.</summary>
public sealed class DocumentedLighthouseTests : IAsyncLifetime
{
    private static readonly IReadOnlyList<DocumentedExchange> Exchanges = DocumentedExchange.Read("Filecoin.documented.json");

    private readonly LighthouseServer _lighthouse = new();

    public static TheoryData<string> Names => [.. Exchanges.Select(e => e.Name)];

    public ValueTask InitializeAsync() => _lighthouse.InitializeAsync();

    public ValueTask DisposeAsync() => _lighthouse.DisposeAsync();

    [Theory, MemberData(nameof(Names))]
    public async Task A_put_that_gets_the_documented_answer_does_what_it_says(string exchange)
    {
        var ct = TestContext.Current.CancellationToken;
        var (_, _, request, answer, passes, outcome) = Exchanges.Single(e => e.Name == exchange);
        var given = new Dictionary<string, string> { ["api-key"] = LighthouseServer.Key, ["upload-endpoint"] = $"{_lighthouse.Url}/up", ["api-endpoint"] = _lighthouse.Url, ["gateway"] = _lighthouse.Url };
        await using var backend = FilecoinConnector.Connector.Open(FilecoinConnector.Connector.Type.Complete("lighthouse", given), new HurriedTime());
        await backend.PrepareAsync(ct);
        var name = BlobName.Parse("a/blob");
        await backend.PutAsync(name, BlobSource.Of(new byte[10]), ct);
        // Nothing more fits, and it is not said so.
        if (outcome == "Full") _lighthouse.Room = 0;
        var answered = 0;
        _lighthouse.Answers = async http =>
        {
            if (!request.Matches(http.Request.Method, http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget)) return false;
            foreach (var (header, value) in request.Headers) Assert.Equal(value.Replace("{key}", LighthouseServer.Key, StringComparison.Ordinal), http.Request.Headers[header].ToString());
            answered++;
            var cid = "";
            if (passes)
            {
                // What is sent gets there, and the answer is the documented one.
                var passed = new DefaultHttpContext();
                (passed.Request.Method, passed.Request.ContentType, passed.Request.ContentLength, passed.Request.QueryString, passed.Request.Body) = (request.Method, http.Request.ContentType, http.Request.ContentLength, http.Request.QueryString, http.Request.Body);
                await _lighthouse.AddAsync(passed);
                cid = LighthouseServer.CidOf(_lighthouse.Files[^1].Content);
            }
            (http.Response.StatusCode, http.Response.ContentType) = (answer.Status, answer.Type);
            await http.Response.WriteAsync(answer.Body.Replace("{id}", cid, StringComparison.Ordinal), ct);
            return true;
        };
        var put = backend.PutAsync(name, BlobSource.Of(new byte[1000]), ct);
        if (outcome is null) Assert.Equal(1000, (await put).Length);
        else Assert.Equal(Enum.Parse<BackendError>(outcome), (await Assert.ThrowsAsync<BackendException>(() => put)).Error);
        Assert.Equal(1, answered);
    }
}
