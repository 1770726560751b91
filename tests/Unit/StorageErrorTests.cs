using DarkStorage.GrainInterfaces;
using Xunit;

namespace DarkStorage.Unit;

/// <summary>Silos of two versions tell each other errors by their numbers.</summary>
public sealed class StorageErrorTests
{
    [Theory]
    [InlineData(StorageError.Internal, 0)]
    [InlineData(StorageError.NoSuchRole, 8)]
    [InlineData(StorageError.EntityTooSmall, 22)]
    [InlineData(StorageError.PreconditionFailed, 24)]
    [InlineData(StorageError.Conflict, 25)]
    [InlineData(StorageError.Unavailable, 41)]
    [InlineData(StorageError.BackendFailed, 44)]
    [InlineData(StorageError.ObjectArchived, 45)]
    [InlineData(StorageError.NoSuchTier, 46)]
    public void A_number_stays_what_it_means(StorageError error, int number) => Assert.Equal(number, (int)error);
}
