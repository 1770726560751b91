using DarkStorage.Storage.Packs;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace DarkStorage.Storage;

public static class BlobStoreServices
{
    /// <summary>Adds the blob store over one data directory, with its options from the section <c>BlobStore</c>. The container opens it at first use
    /// (resolve it at start, so that a refusal is seen at once) and closes it with itself: dispose the container asynchronously.</summary>
    /// <param name="directory">The node's data directory; the store makes <c>packs/</c>, <c>lock</c> and <c>format</c> in it.</param>
    public static IServiceCollection AddBlobStore(this IServiceCollection services, string directory)
    {
        services.AddOptions<BlobStoreOptions>().BindConfiguration("BlobStore").ValidateDataAnnotations().ValidateOnStart();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(provider => BlobStore.Open(
            directory,
            provider.GetRequiredService<IOptions<BlobStoreOptions>>().Value,
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<BlobStore>>()));
        services.AddSingleton<IBlobStore>(static provider => provider.GetRequiredService<BlobStore>());
        return services;
    }
}
